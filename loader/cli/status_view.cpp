// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/status_view.hpp"

#include <algorithm>
#include <ctime>

#include "maps/names.hpp"

namespace sheath::cli {
namespace {

using Align = Table::Align;

std::string field(std::string_view name, const std::string& value) {
  auto label = std::string(name) + ":";
  label.resize(14, ' ');
  return label + value + "\n";
}

std::string state_text(const engine::Status& status, const Style& style) {
  if (!status.installed) return "off";
  return status.problems.empty() ? style.good("ok") : style.bad("degraded");
}

std::string mode_text(const engine::Status& status) {
  if (!status.strict) return "unknown: no program on an uplink, or they differ";
  return *status.strict ? "strict" : "permissive";
}

const char* tunnel_text(plan::TunnelReference tunnel) {
  switch (tunnel) {
    case plan::TunnelReference::kFenced:
      return "none: everything to peers is dropped";
    case plan::TunnelReference::kTunnel:
      return "yes";
    case plan::TunnelReference::kStale:
      return "a device that is gone";
  }
  return "";
}

std::string section(std::string_view title, const Table& table) {
  return table.empty() ? "" : "\n" + std::string(title) + "\n" + table.text(2);
}

std::string programs_text(const engine::Status& status) {
  Table table({{"DEVICE"}, {"PROGRAM"}, {"HOOK"}, {"ID", Align::kRight}, {"TUNNEL"}});
  for (const auto& program : status.programs) {
    table.add({program.device, program.program, program.hook, std::to_string(program.id), tunnel_text(program.tunnel)});
  }
  return section("Programs", table);
}

std::string key_text(const engine::PeerStatus& peer) {
  return peer.ready ? std::to_string(peer.key_id) : "-";
}

std::string peer_name(std::uint16_t node_id, const std::string& name) {
  if (node_id == 0) return "-";
  return name.empty() ? "node " + std::to_string(node_id) : name;
}

std::string peers_text(const engine::Status& status, const Style& style) {
  const auto now = static_cast<std::int64_t>(std::time(nullptr));
  Table table({{"ID", Align::kRight},
               {"NODE"},
               {"NODE IPS"},
               {"POD CIDRS"},
               {"STATE"},
               {status.xfrm ? "KEY" : "HANDSHAKE"},
               {"RECEIVED", Align::kRight},
               {"SENT", Align::kRight}});
  for (const auto& peer : status.peers) {
    table.add({std::to_string(peer.node_id), peer.name.empty() ? "-" : peer.name, joined(texts(peer.node_ips)),
               joined(texts(peer.pod_cidrs)),
               peer.ready ? style.good("ready") : style.bad(engine::peer_state(status, peer)),
               status.xfrm ? key_text(peer) : age_text(peer.last_handshake_seconds, now), bytes_text(peer.rx_bytes),
               bytes_text(peer.tx_bytes)});
  }
  return section("Peers", table);
}

std::string counters_text(const engine::Status& status, const Style& style) {
  Table table(
      {{"PROGRAM"}, {"REASON"}, {"VERDICT"}, {"PACKETS", Align::kRight}, {"BYTES", Align::kRight}, {"MEANING"}});
  if (!status.metrics) return "";
  for (const auto& direction : maps::directions()) {
    for (const auto& reason : maps::reasons()) {
      const auto& count = maps::counter((*status.metrics)[direction.direction], reason.reason);
      if (count.packets == 0) continue;
      const std::string verdict(maps::verdict_name(reason.verdict));
      table.add({std::string(direction.name), std::string(reason.name),
                 reason.verdict == SHEATH_VERDICT_drop ? style.bad(verdict) : verdict, std::to_string(count.packets),
                 bytes_text(count.bytes), std::string(reason.doc)});
    }
  }
  return section("Verdicts", table);
}

const maps::ReasonInfo& reason_info(sheath_reason reason) {
  return *std::ranges::find(maps::reasons(), reason, &maps::ReasonInfo::reason);
}

std::string withheld_text(const engine::Status& status, bool dropped) {
  Table table({{"PROGRAM"}, {"REASON"}, {"PEER"}, {"PACKETS", Align::kRight}, {"LAST", Align::kRight}, {"MEANING"}});
  const auto now = static_cast<std::int64_t>(std::time(nullptr));
  for (const auto& entry : status.withheld) {
    if (entry.dropped != dropped) continue;
    table.add({std::string(maps::direction_name(entry.program)), std::string(maps::reason_name(entry.reason)),
               peer_name(entry.node_id, entry.name), std::to_string(entry.packets),
               age_text(now - entry.age.count(), now), std::string(reason_info(entry.reason).doc)});
  }
  return section(dropped ? "Dropped" : "Strict mode would drop", table);
}

// What passed once is of no use to those who are strict now.
std::string withheld_text(const engine::Status& status) {
  return (status.strict.value_or(false) ? "" : withheld_text(status, false)) + withheld_text(status, true);
}

std::string problems_text(const engine::Status& status, const Style& style) {
  if (status.problems.empty()) return "";
  std::string out = "\n" + style.bad("What is wrong") + "\n";
  for (const auto& problem : status.problems) out += "  - " + problem + "\n";
  return out;
}

// As Cilium's users know it.
std::string node_encryption_text(const engine::Status& status) {
  switch (status.node_encryption) {
    case SHEATH_NODE_ENCRYPTION_disabled:
      break;
    case SHEATH_NODE_ENCRYPTION_enabled:
      return "[NodeEncryption: Enabled, ";
    case SHEATH_NODE_ENCRYPTION_opted_out:
      return "[NodeEncryption: OptedOut, ";
  }
  return "[NodeEncryption: Disabled, ";
}

std::string ipsec_text(const engine::Status& status, const engine::XfrmStatus& xfrm) {
  std::string keys;
  for (const auto id : xfrm.key_ids) keys += (keys.empty() ? "" : ", ") + std::to_string(id);
  return "IPsec " + node_encryption_text(status) + xfrm.name + " (Keys: " + (keys.empty() ? "none" : keys) +
         (xfrm.algorithm.empty() ? "" : ", " + xfrm.algorithm) + ", Peers: " + std::to_string(xfrm.peers) + ")]";
}

std::string head_text(const engine::Status& status, const AgentView& agent, const std::string& node,
                      const Style& style) {
  auto out = field("Encryption", encryption_text(status)) + field("Status", state_text(status, style));
  out += field("Agent", agent_text(agent));
  if (!status.installed) return out;
  out += field("Node", node + " (" + joined(texts(status.node_ips)) + ")");
  out += field("Mode", mode_text(status));
  out += field("Pod CIDRs", joined(texts(status.pod_cidrs)));
  if (!status.cluster_cidrs.empty()) out += field("Cluster", joined(texts(status.cluster_cidrs)));
  if (status.backstop) {
    out += field("Backstop", counted(status.backstop->packets, "packet") + " " +
                                 (status.strict.value_or(true) ? "dropped" : "passed") +
                                 " on devices that are not covered");
  }
  return out;
}

}  // namespace

std::string encryption_text(const engine::Status& status) {
  if (status.xfrm) return ipsec_text(status, *status.xfrm);
  if (!status.tunnel) return "Disabled";
  const auto& tunnel = *status.tunnel;
  return "Wireguard " + node_encryption_text(status) + tunnel.name +
         " (Pubkey: " + (tunnel.public_key ? tunnel.public_key->text() : "none") +
         ", Port: " + std::to_string(tunnel.listen_port) + ", Peers: " + std::to_string(tunnel.peers) + ")]";
}

std::string status_text(const engine::Status& status, const AgentView& agent, const std::string& node,
                        const Style& style) {
  return head_text(status, agent, node, style) + programs_text(status) + peers_text(status, style) +
         withheld_text(status) + counters_text(status, style) + problems_text(status, style);
}

}  // namespace sheath::cli
