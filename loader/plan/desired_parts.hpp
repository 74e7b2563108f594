// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include "loader/plan/desired.hpp"

// The parts of the desired state that are more than a few lines. Private to desired*.cpp.
namespace sheath::plan {

using Peers = std::vector<const state::Node*>;

inline const state::Node& own_node(const Inputs& in) {
  return in.cluster.at(in.config.node_name);
}

inline Peers peers_of(const Inputs& in) {
  Peers peers;
  for (const auto& [name, node] : in.cluster) {
    if (name != in.config.node_name) peers.push_back(&node);
  }
  return peers;
}

inline bool is_ipsec(const Inputs& in) {
  return in.config.encryption == state::Encryption::kIpsec;
}

inline bool has_overlay(const Inputs& in) {
  return in.config.routing == state::Routing::kVxlan;
}

// A device that is down carries nothing; one that was up before may be up again at any time.
inline bool is_to_be_covered(const Inputs& in, const OverlayDevice& overlay) {
  return overlay.up || in.actual.programs.contains({SHEATH_DIRECTION_uplink_egress, overlay.name});
}

// desired_devices.cpp: the tunnel device of the engine, the overlay, and their MTUs. A misuse where the uplinks leave
// no room for them.
Result<> add_devices(const Inputs& in, const Peers& peers, Desired& desired);

// desired_programs.cpp: where programs are attached, and what they are told. For when devices and maps are known.
// A misuse when the pod CIDRs have more lengths than programs can know.
Result<> add_programs(const Inputs& in, Desired& desired);

}  // namespace sheath::plan
