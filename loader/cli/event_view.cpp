// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/event_view.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "maps/keys.hpp"
#include "maps/names.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;

sheath_reason reason_of(const sheath_event& event) {
  return static_cast<sheath_reason>(event.reason);
}

sheath_verdict verdict_of(const sheath_event& event) {
  return event.reason < SHEATH_REASON_COUNT ? maps::reasons()[event.reason].verdict : SHEATH_VERDICT_drop;
}

// "14:03:07.123", local time.
std::string clock_text(double time) {
  const auto seconds = static_cast<std::time_t>(std::floor(time));
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%02d:%02d:%02d.%03d", local.tm_hour, local.tm_min, local.tm_sec,
                static_cast<int>((time - std::floor(time)) * 1000));
  return text.data();
}

std::string reason_text(const sheath_event& event) {
  std::string text(maps::reason_name(reason_of(event)));
  if (event.strict_reason != event.reason)
    text += " (strict: " + std::string(maps::reason_name(static_cast<sheath_reason>(event.strict_reason))) + ")";
  return text;
}

std::string flow_text(const sheath_event& event) {
  if (event.family == 0) return "not parsed";
  return protocol_text(event.protocol) + " " + end_text(maps::from_key(event.source), event.source_port) + " > " +
         end_text(maps::from_key(event.dest), event.dest_port);
}

}  // namespace

std::string protocol_text(std::uint8_t protocol) {
  switch (protocol) {
    case 1:
    case 58:
      return "ICMP";
    case 6:
      return "TCP";
    case 17:
      return "UDP";
    case 132:
      return "SCTP";
    default:
      return "protocol " + std::to_string(protocol);
  }
}

std::string end_text(const IpAddress& address, std::uint16_t port) {
  return port == 0 ? address.text() : Endpoint{address, port}.text();
}

bool EventFilter::fits(const sheath_event& event, const std::string& peer_name) const {
  if (program && event.direction != *program) return false;
  if (reason && event.reason != *reason && event.strict_reason != *reason) return false;
  if (peer && *peer != peer_name) return false;
  if (drops_only && verdict_of(event) != SHEATH_VERDICT_drop) return false;
  if (!address) return true;
  if (event.family == 0) return false;
  return address->contains(Cidr::host(maps::from_key(event.source))) ||
         address->contains(Cidr::host(maps::from_key(event.dest)));
}

std::string EventNames::peer(std::uint16_t node_id) const {
  if (node_id == 0) return {};
  const auto found = peers.find(node_id);
  return found == peers.end() || found->second.empty() ? "node " + std::to_string(node_id) : found->second;
}

std::string EventNames::device(std::uint32_t ifindex) const {
  const auto found = devices.find(ifindex);
  return found == devices.end() ? "device " + std::to_string(ifindex) : found->second;
}

std::string event_line(const sheath_event& event, const EventNames& names, double time, const Style& style) {
  const auto verdict = std::string(maps::verdict_name(verdict_of(event)));
  const auto peer = names.peer(event.node_id);
  return clock_text(time) + " " + (verdict_of(event) == SHEATH_VERDICT_drop ? style.bad(verdict) : verdict) + " " +
         reason_text(event) + " " + flow_text(event) + ", " + std::to_string(event.length) + " B, " +
         std::string(maps::direction_name(static_cast<sheath_direction>(event.direction))) + " on " +
         names.device(event.ifindex) + (event.out_ifindex != 0 ? " to " + names.device(event.out_ifindex) : "") +
         (peer.empty() ? "" : ", peer " + peer) + (event.mtu != 0 ? ", MTU " + std::to_string(event.mtu) : "") + "\n";
}

std::string event_json(const sheath_event& event, const EventNames& names, double time) {
  const auto peer = names.peer(event.node_id);
  const bool parsed = event.family != 0;
  const Json json{{"time", time},
                  {"verdict", maps::verdict_name(verdict_of(event))},
                  {"reason", maps::reason_name(reason_of(event))},
                  {"strict_reason", maps::reason_name(static_cast<sheath_reason>(event.strict_reason))},
                  {"program", maps::direction_name(static_cast<sheath_direction>(event.direction))},
                  {"device", names.device(event.ifindex)},
                  {"to_device", event.out_ifindex == 0 ? Json() : Json(names.device(event.out_ifindex))},
                  {"peer", peer.empty() ? Json() : Json(peer)},
                  {"node_id", event.node_id},
                  {"family", event.family},
                  {"protocol", event.protocol},
                  {"source", parsed ? Json(maps::from_key(event.source).text()) : Json()},
                  {"source_port", event.source_port},
                  {"destination", parsed ? Json(maps::from_key(event.dest).text()) : Json()},
                  {"destination_port", event.dest_port},
                  {"length", event.length},
                  {"mark", event.mark},
                  {"mtu", event.mtu}};
  return json.dump() + "\n";
}

}  // namespace sheath::cli
