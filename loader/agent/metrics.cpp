// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/metrics.hpp"

#include <cmath>

#include "loader/agent/exposition.hpp"
#include "maps/names.hpp"

namespace sheath::agent {
namespace {

using Type = Exposition::Type;

std::string name_of(std::uint16_t node_id, const std::string& name) {
  return name.empty() ? std::to_string(node_id) : name;
}

const char* mode_of(const engine::Status& status) {
  if (!status.strict) return "unknown";
  return *status.strict ? "strict" : "permissive";
}

const char* engine_of(const engine::Status& status) {
  if (status.xfrm) return "ipsec";
  return status.tunnel ? "wireguard" : "none";
}

double flag(bool value) {
  return value ? 1 : 0;
}

void add_node(const engine::Status& status, Exposition& out) {
  out.family("sheath_build_info", Type::kGauge, "The version of Sheath that answers; always 1.");
  out.sample({{"version", SHEATH_VERSION}}, 1.0);
  out.family("sheath_encryption_info", Type::kGauge, "What encrypts on this node, and how strictly; always 1.");
  out.sample({{"encryption", engine_of(status)}, {"mode", mode_of(status)}}, 1.0);
  out.family("sheath_ok", Type::kGauge, "1 when all that should be encrypted is, as far as this node can tell.");
  out.sample({}, flag(status.installed && status.problems.empty()));
  out.family("sheath_problems", Type::kGauge, "How many things `sheath status` names as wrong.");
  out.sample({}, static_cast<std::uint64_t>(status.problems.size()));
  out.family("sheath_programs", Type::kGauge, "Programs that are attached.");
  out.sample({}, static_cast<std::uint64_t>(status.programs.size()));
}

void add_verdicts(const engine::Status& status, Exposition& out) {
  if (!status.metrics) return;
  const auto add = [&](std::string_view name, std::string_view help, auto value_of) {
    out.family(name, Type::kCounter, help);
    for (const auto& direction : maps::directions()) {
      for (const auto& reason : maps::reasons()) {
        const auto& count = maps::counter((*status.metrics)[direction.direction], reason.reason);
        out.sample(
            {{"direction", direction.name}, {"reason", reason.name}, {"verdict", maps::verdict_name(reason.verdict)}},
            value_of(count));
      }
    }
  };
  add("sheath_verdict_packets_total", "Packets by program, reason and verdict.",
      [](const sheath_counter& count) { return std::uint64_t{count.packets}; });
  add("sheath_verdict_bytes_total", "Bytes by program, reason and verdict.",
      [](const sheath_counter& count) { return std::uint64_t{count.bytes}; });
}

void add_withheld(const engine::Status& status, Exposition& out) {
  out.family("sheath_withheld_packets_total", Type::kCounter,
             "Packets that may not go in plaintext, by peer: dropped, or passed in permissive mode.");
  for (const auto& entry : status.withheld) {
    out.sample({{"direction", maps::direction_name(entry.program)},
                {"reason", maps::reason_name(entry.reason)},
                {"peer", entry.node_id == 0 ? "" : name_of(entry.node_id, entry.name)},
                {"dropped", entry.dropped ? "true" : "false"}},
               entry.packets);
  }
  if (!status.backstop) return;
  out.family("sheath_backstop_packets_total", Type::kCounter,
             "Packets of pods, and of nodes that encrypt, on devices that no program watches: dropped, or passed in "
             "permissive mode.");
  out.sample({}, status.backstop->packets);
}

void add_peers(const engine::Status& status, Exposition& out) {
  const auto each = [&](std::string_view name, Type type, std::string_view help, auto value) {
    out.family(name, type, help);
    for (const auto& peer : status.peers) out.sample({{"peer", name_of(peer.node_id, peer.name)}}, value(peer));
  };
  using Peer = engine::PeerStatus;
  each("sheath_peer_ready", Type::kGauge, "1 when what is sent to the peer is encrypted.",
       [](const Peer& peer) { return flag(peer.ready); });
  if (status.tunnel) {
    each("sheath_peer_last_handshake_seconds", Type::kGauge,
         "Time of the last WireGuard handshake with the peer, since the epoch; 0: none.",
         [](const Peer& peer) { return static_cast<double>(peer.last_handshake_seconds); });
  }
  if (status.xfrm) {
    each("sheath_peer_last_received_seconds", Type::kGauge,
         "Time of the last ESP packet from the peer, since the epoch; 0: none.",
         [](const Peer& peer) { return static_cast<double>(peer.last_received_seconds); });
  }
  each("sheath_peer_received_bytes_total", Type::kCounter,
       "Bytes that came from the peer encrypted: outer ones with WireGuard, inner ones with IPsec.",
       [](const Peer& peer) { return peer.rx_bytes; });
  each("sheath_peer_sent_bytes_total", Type::kCounter,
       "Bytes that went to the peer encrypted: outer ones with WireGuard, inner ones with IPsec.",
       [](const Peer& peer) { return peer.tx_bytes; });
}

void add_keys(const engine::EncryptStatus& keys, Exposition& out) {
  out.family("sheath_ipsec_keys", Type::kGauge, "Keys in use: 2 during a rotation, else 1.");
  out.sample({}, static_cast<std::uint64_t>(keys.keys.size()));
  out.family("sheath_key_age_seconds", Type::kGauge, "Age of this node's session keys, by key ID.");
  for (const auto& key : keys.keys) {
    if (key.age) out.sample({{"key_id", std::to_string(key.id)}}, static_cast<double>(key.age->count()));
  }
  out.family("sheath_sequence_used_ratio", Type::kGauge,
             "The highest ESP sequence number of all states, of the 2^64 that a key has; it is rotated at 0.5.");
  out.sample({}, static_cast<double>(keys.max_sequence) / std::ldexp(1.0, 64));
  out.family("sheath_ipsec_xfrm_errors_total", Type::kCounter, "Packets that IPsec dropped: /proc/net/xfrm_stat.");
  for (const auto& [error, packets] : keys.errors) out.sample({{"error", error}}, packets);
}

void add_agent(const AgentReport& agent, Exposition& out) {
  out.family("sheath_agent_start_time_seconds", Type::kGauge, "When the agent began, since the epoch.");
  out.sample({}, static_cast<double>(agent.started));
  out.family("sheath_agent_rounds_total", Type::kCounter, "How often the agent compared what should be with what is.");
  out.sample({}, agent.rounds);
  out.family("sheath_agent_small_rounds_total", Type::kCounter,
             "Those rounds that looked at a few changed node objects alone.");
  out.sample({}, agent.small_rounds);
  out.family("sheath_agent_round_failures_total", Type::kCounter, "Those rounds that failed.");
  out.sample({}, agent.failures);
  out.family("sheath_agent_steps_total", Type::kCounter, "Changes that the agent made.");
  out.sample({}, agent.steps);
  out.family("sheath_agent_last_success_seconds", Type::kGauge,
             "When a round last succeeded, since the epoch; 0: never.");
  out.sample({}, static_cast<double>(agent.last_success));
  out.family("sheath_agent_last_round_duration_seconds", Type::kGauge, "How long the last round took.");
  out.sample({}, static_cast<double>(agent.last_milliseconds) / 1000.0);
  out.family("sheath_agent_failed_peers", Type::kGauge,
             "Peers that the last round could not bring to what they should be.");
  out.sample({}, static_cast<std::uint64_t>(agent.failed_peers.size()));
  out.family("sheath_agent_refused_objects", Type::kGauge, "Node objects that are wrong, and not taken.");
  out.sample({}, static_cast<std::uint64_t>(agent.refused.size()));
}

}  // namespace

Result<MetricsInput> observe_metrics(const state::Config& config) {
  MetricsInput input;
  auto status = engine::observe_status(config);
  if (!status) return fail(std::move(status.error()));
  input.status = std::move(*status);
  if (input.status.xfrm) {
    auto keys = engine::encrypt_status(config);
    if (!keys) return fail(std::move(keys.error()));
    input.keys = std::move(*keys);
  }
  return input;
}

std::string metrics_text(const MetricsInput& input) {
  Exposition out;
  add_node(input.status, out);
  add_verdicts(input.status, out);
  add_withheld(input.status, out);
  add_peers(input.status, out);
  if (input.keys) add_keys(*input.keys, out);
  out.family("sheath_agent_up", Type::kGauge, "1 when an agent runs on this node.");
  out.sample({}, flag(input.agent.has_value()));
  if (input.agent) add_agent(*input.agent, out);
  return std::move(out).text();
}

}  // namespace sheath::agent
