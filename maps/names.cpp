// SPDX-License-Identifier: Apache-2.0
#include "maps/names.hpp"

#include <algorithm>
#include <array>

namespace sheath::maps {
namespace {

#define SHEATH_REASON_INFO(name, verdict, doc) ReasonInfo{SHEATH_REASON_##name, #name, SHEATH_VERDICT_##verdict, doc},
constexpr std::array kReasons{SHEATH_REASONS(SHEATH_REASON_INFO)};
#undef SHEATH_REASON_INFO

#define SHEATH_DIRECTION_INFO(name, doc) DirectionInfo{SHEATH_DIRECTION_##name, #name, doc},
constexpr std::array kDirections{SHEATH_DIRECTIONS(SHEATH_DIRECTION_INFO)};
#undef SHEATH_DIRECTION_INFO

#define SHEATH_COUNTER_POINTER(name, verdict, doc) &sheath_counters::name,
constexpr std::array kCounters{SHEATH_REASONS(SHEATH_COUNTER_POINTER)};
#undef SHEATH_COUNTER_POINTER

constexpr std::string_view kUnknown = "unknown";

}  // namespace

std::span<const ReasonInfo> reasons() {
  return kReasons;
}

std::span<const DirectionInfo> directions() {
  return kDirections;
}

std::string_view reason_name(sheath_reason reason) {
  return reason < kReasons.size() ? kReasons[reason].name : kUnknown;
}

std::string_view direction_name(sheath_direction direction) {
  return direction < kDirections.size() ? kDirections[direction].name : kUnknown;
}

std::string_view verdict_name(sheath_verdict verdict) {
  switch (verdict) {
    case SHEATH_VERDICT_pass:
      return "pass";
    case SHEATH_VERDICT_encrypt:
      return "encrypt";
    case SHEATH_VERDICT_deliver:
      return "deliver";
    case SHEATH_VERDICT_answer:
      return "answer";
    case SHEATH_VERDICT_drop:
      return "drop";
    case SHEATH_VERDICT_consume:
      return "consume";
  }
  return kUnknown;
}

std::string_view kind_name(sheath_kind kind) {
  switch (kind) {
    case SHEATH_KIND_none:
      return "none";
    case SHEATH_KIND_local:
      return "local";
    case SHEATH_KIND_remote:
      return "remote";
    case SHEATH_KIND_cluster:
      return "cluster";
  }
  return kUnknown;
}

std::string_view peer_state_name(sheath_peer_state state) {
  switch (state) {
    case SHEATH_PEER_not_ready:
      return "not_ready";
    case SHEATH_PEER_ready:
      return "ready";
  }
  return kUnknown;
}

std::string_view node_traffic_name(sheath_node_traffic level) {
  switch (level) {
    case SHEATH_NODE_TRAFFIC_plain:
      return "plain";
    case SHEATH_NODE_TRAFFIC_encrypted:
      return "encrypted";
    case SHEATH_NODE_TRAFFIC_required:
      return "required";
  }
  return kUnknown;
}

std::optional<sheath_direction> find_direction(std::string_view name) {
  const auto found = std::ranges::find(kDirections, name, &DirectionInfo::name);
  if (found == kDirections.end()) return std::nullopt;
  return found->direction;
}

bool is_on_egress(sheath_direction direction) {
  return direction == SHEATH_DIRECTION_uplink_egress || direction == SHEATH_DIRECTION_overlay_egress;
}

sheath_counter& counter(sheath_counters& counters, sheath_reason reason) {
  return counters.*kCounters.at(reason);
}

const sheath_counter& counter(const sheath_counters& counters, sheath_reason reason) {
  return counters.*kCounters.at(reason);
}

}  // namespace sheath::maps
