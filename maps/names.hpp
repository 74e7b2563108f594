// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "maps/reasons.h"
#include "maps/types.h"

// The names of what the maps hold, made from the lists in reasons.h: the same words in `bpftool map dump`, in JSON and
// in tables.
namespace sheath::maps {

struct ReasonInfo {
  sheath_reason reason;
  std::string_view name;
  sheath_verdict verdict;
  std::string_view doc;
};

struct DirectionInfo {
  sheath_direction direction;
  // Also the name of the program that makes verdicts there.
  std::string_view name;
  std::string_view doc;
};

// In the order of their numbers.
std::span<const ReasonInfo> reasons();
std::span<const DirectionInfo> directions();

// "unknown" for a number that has no name, such as one that a newer program wrote.
std::string_view reason_name(sheath_reason reason);
std::string_view direction_name(sheath_direction direction);
std::string_view verdict_name(sheath_verdict verdict);
std::string_view kind_name(sheath_kind kind);
std::string_view peer_state_name(sheath_peer_state state);
std::string_view node_traffic_name(sheath_node_traffic level);

std::optional<sheath_direction> find_direction(std::string_view name);

// Whether the program of a direction is attached to tc egress of its device; else to ingress, as pod_egress is: what
// leaves a pod arrives at the host's end of its veth.
bool is_on_egress(sheath_direction direction);

// The counter of a reason.
sheath_counter& counter(sheath_counters& counters, sheath_reason reason);
const sheath_counter& counter(const sheath_counters& counters, sheath_reason reason);

}  // namespace sheath::maps
