// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/state/config.hpp"
#include "loader/state/node.hpp"

// What is asked of each peer: packets as a pod or this node would send them, told apart by a marker. Pure.
namespace sheath::verify {

enum class Traffic { kPodToPod, kPodToNode, kNodeToPod, kNodeToNode };
// "pod to pod"
std::string_view traffic_name(Traffic traffic);
// With a node at one end: what nodeEncryption decides.
inline bool is_node_traffic(Traffic traffic) {
  return traffic != Traffic::kPodToPod;
}

struct Probe {
  std::string peer;
  Traffic traffic = Traffic::kPodToPod;
  IpAddress source;       // of this node, or out of its pods' range; nobody has to have that one
  IpAddress destination;  // likewise of the peer
  bool required = false;  // the configuration wants it encrypted
  std::string exemption;  // why not, where it does not
};

// One of each kind and family that both ends have, for every peer, in the order of the peers' names. From a pod to a
// node only where that is to be encrypted.
std::vector<Probe> plan_probes(const state::Config& config, const state::Cluster& cluster);

// Random, of this run: no other packet has it.
using RunMark = std::array<std::uint8_t, 12>;
Result<RunMark> draw_run_mark();

// The whole IP packet of probe number `index`.
std::vector<std::uint8_t> probe_packet(const Probe& probe, const RunMark& run, std::uint32_t index);

// Which probe's mark is anywhere in these bytes, whatever is around it.
std::optional<std::uint32_t> find_probe(std::span<const std::uint8_t> bytes, const RunMark& run);

// The last address of a range that a host can have: seldom a gateway's.
IpAddress sample_address(const Cidr& range);

}  // namespace sheath::verify
