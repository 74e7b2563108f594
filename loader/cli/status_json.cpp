// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "loader/cli/metrics_json.hpp"
#include "loader/cli/status_view.hpp"
#include "maps/names.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;

template <typename Value>
Json text_or_null(const std::optional<Value>& value) {
  return value ? Json(value->text()) : Json();
}

const char* reference_name(plan::TunnelReference tunnel) {
  switch (tunnel) {
    case plan::TunnelReference::kFenced:
      return "none";
    case plan::TunnelReference::kTunnel:
      return "current";
    case plan::TunnelReference::kStale:
      return "stale";
  }
  return "";
}

Json tunnel_json(const engine::Status& status) {
  if (!status.tunnel) return nullptr;
  const auto& tunnel = *status.tunnel;
  return {{"name", tunnel.name},
          {"ifindex", tunnel.ifindex},
          {"up", tunnel.up},
          {"mtu", tunnel.mtu},
          {"public_key", text_or_null(tunnel.public_key)},
          {"listen_port", tunnel.listen_port},
          {"fwmark", tunnel.fwmark},
          {"peers", tunnel.peers}};
}

Json xfrm_json(const engine::Status& status) {
  if (!status.xfrm) return nullptr;
  const auto& xfrm = *status.xfrm;
  return {{"name", xfrm.name},       {"ifindex", xfrm.ifindex},     {"up", xfrm.up},      {"mtu", xfrm.mtu},
          {"key_ids", xfrm.key_ids}, {"algorithm", xfrm.algorithm}, {"peers", xfrm.peers}};
}

const char* encryption_name(const engine::Status& status) {
  if (status.xfrm) return "ipsec";
  return status.tunnel ? "wireguard" : "none";
}

const char* node_encryption_name(sheath_node_encryption setting) {
  switch (setting) {
    case SHEATH_NODE_ENCRYPTION_disabled:
      break;
    case SHEATH_NODE_ENCRYPTION_enabled:
      return "enabled";
    case SHEATH_NODE_ENCRYPTION_opted_out:
      return "opted_out";
  }
  return "disabled";
}

Json programs_json(const engine::Status& status) {
  Json list = Json::array();
  for (const auto& program : status.programs) {
    list.push_back({{"program", program.program},
                    {"device", program.device},
                    {"hook", program.hook},
                    {"id", program.id},
                    {"strict", program.strict},
                    {"tunnel", reference_name(program.tunnel)},
                    {"fast_path", program.fast_path},
                    {"via_uplink", program.via_uplink}});
  }
  return list;
}

Json peers_json(const engine::Status& status) {
  Json list = Json::array();
  for (const auto& peer : status.peers) {
    list.push_back({{"node_id", peer.node_id},
                    {"name", peer.name.empty() ? Json() : Json(peer.name)},
                    {"node_ips", texts(peer.node_ips)},
                    {"pod_cidrs", texts(peer.pod_cidrs)},
                    {"ready", peer.ready},
                    {"key_id", peer.key_id == 0 ? Json() : Json(peer.key_id)},
                    {"public_key", text_or_null(peer.public_key)},
                    {"endpoint", text_or_null(peer.endpoint)},
                    {"last_handshake", peer.last_handshake_seconds == 0 ? Json() : Json(peer.last_handshake_seconds)},
                    {"rx_bytes", peer.rx_bytes},
                    {"tx_bytes", peer.tx_bytes}});
  }
  return list;
}

Json withheld_json(const engine::Status& status) {
  auto list = Json::array();
  for (const auto& entry : status.withheld) {
    list.push_back({{"program", maps::direction_name(entry.program)},
                    {"reason", maps::reason_name(entry.reason)},
                    {"dropped", entry.dropped},
                    {"node_id", entry.node_id},
                    {"node", entry.name.empty() ? Json() : Json(entry.name)},
                    {"packets", entry.packets},
                    {"bytes", entry.bytes},
                    {"age_seconds", entry.age.count()}});
  }
  return list;
}

Json backstop_json(const engine::Status& status) {
  if (!status.backstop) return {};
  return {{"intact", status.backstop->intact},
          {"drops", status.strict.value_or(true)},
          {"packets", status.backstop->packets}};
}

}  // namespace

std::string status_json(const engine::Status& status, const AgentView& agent, const std::string& node) {
  return json_text({{"node", node},
                    {"installed", status.installed},
                    {"ok", status.problems.empty()},
                    {"problems", status.problems},
                    {"agent", agent_json(agent)},
                    {"encryption", encryption_name(status)},
                    {"node_encryption", node_encryption_name(status.node_encryption)},
                    {"mode", status.strict ? Json(*status.strict ? "strict" : "permissive") : Json()},
                    {"bpffs", status.bpffs},
                    {"node_ips", texts(status.node_ips)},
                    {"pod_cidrs", texts(status.pod_cidrs)},
                    {"cluster_cidrs", texts(status.cluster_cidrs)},
                    {"tunnel", tunnel_json(status)},
                    {"xfrm", xfrm_json(status)},
                    {"programs", programs_json(status)},
                    {"backstop", backstop_json(status)},
                    {"peers", peers_json(status)},
                    {"withheld", withheld_json(status)},
                    {"counters", status.metrics ? metrics_json(*status.metrics) : Json::object()}});
}

}  // namespace sheath::cli
