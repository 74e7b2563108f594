// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "loader/netlink/links.hpp"
#include "loader/netlink/neighbours.hpp"
#include "loader/netlink/routes.hpp"
#include "loader/plan/facts.hpp"

// Which device leads to which pod of this node, for the fast path.
namespace sheath::engine {

// The devices that host routes (/32, /128) point at: veths, or with `globs` the devices that match one of them.
// Pure: the MAC addresses come later.
std::map<IpAddress, netlink::Link> pod_routes(const std::vector<netlink::Link>& links,
                                              const std::vector<netlink::Route>& routes,
                                              const std::vector<std::string>& globs);

struct PodDiscovery {
  std::map<IpAddress, plan::LocalPod> pods;
  std::vector<std::string> warnings;  // pods whose MAC address nobody knows: theirs is the way through the stack
};

// A pod's MAC address is its end of the veth, or else what the neighbour table says.
Result<PodDiscovery> discover_pods(netlink::Socket& socket, const std::vector<netlink::Link>& links,
                                   const std::vector<std::string>& globs);

}  // namespace sheath::engine
