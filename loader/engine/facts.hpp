// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "loader/netlink/links.hpp"
#include "loader/netlink/netfilter.hpp"
#include "loader/netlink/socket.hpp"
#include "loader/plan/facts.hpp"
#include "loader/state/config.hpp"

namespace sheath::engine {

struct GatheredFacts {
  plan::Facts facts;
  std::vector<std::string> warnings;
};

// What the machine says. A misuse, naming the configuration's field, for a device that does not exist or cannot be an
// uplink, and for a fast path that would bypass netfilter rules.
Result<GatheredFacts> gather_facts(netlink::Socket& socket, const state::Config& config);

// Table main's unicast routes but our own: where the peers are, for the outer packets' own ways.
Result<std::vector<plan::MainRoute>> main_routes(netlink::Socket& socket);

// The uplinks: `devices`, or those of the default routes.
Result<std::vector<netlink::Link>> find_uplinks(netlink::Socket& socket, const state::Config& config);

// The tunnel devices of others: what leaves by one goes on inside packets from node to node.
Result<std::vector<netlink::Link>> find_overlays(netlink::Socket& socket, const state::Config& config);

// Bytes before the IP header on devices of this hardware type (ARPHRD_*); nullopt for a type that is not known.
std::optional<std::uint8_t> link_header_length(std::uint16_t hardware_type);

// Refuses when one of the findings may concern a pod's packets: a chain that is bound to no pod device does not.
Result<> check_fast_path(const std::vector<netlink::FilterFinding>& findings,
                         const std::vector<std::string>& pod_devices);

}  // namespace sheath::engine
