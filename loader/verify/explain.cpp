// SPDX-License-Identifier: Apache-2.0
#include "loader/verify/explain.hpp"

#include <algorithm>

#include "maps/names.hpp"

namespace sheath::verify {
namespace {

const engine::PeerStatus* find_peer(const Probe& probe, const engine::Status& status) {
  const auto knows = [&](const engine::PeerStatus& peer) {
    return std::ranges::any_of(peer.pod_cidrs, [&](const Cidr& cidr) { return cidr.contains(probe.destination); }) ||
           std::ranges::find(peer.node_ips, probe.destination) != peer.node_ips.end();
  };
  const auto found = std::ranges::find_if(status.peers, knows);
  return found == status.peers.end() ? nullptr : &*found;
}

const engine::ProgramStatus* find_egress(const std::string& device, const engine::Status& status) {
  const auto leaves = [&](const engine::ProgramStatus& program) {
    return program.device == device && (program.program == maps::direction_name(SHEATH_DIRECTION_uplink_egress) ||
                                        program.program == maps::direction_name(SHEATH_DIRECTION_overlay_egress));
  };
  const auto found = std::ranges::find_if(status.programs, leaves);
  return found == status.programs.end() ? nullptr : &*found;
}

bool has_tunnel(const engine::Status& status) {
  return status.tunnel || status.xfrm;
}

std::string tunnel_name(const engine::Status& status) {
  if (status.tunnel) return status.tunnel->name;
  return status.xfrm ? status.xfrm->name : "the tunnel device";
}

std::string translated(const Probe& probe, const IpAddress& source) {
  return "its source was translated from " + probe.source.text() + " to " + source.text() +
         " on its way through this host (masquerading): so it is node traffic, and that is not encrypted";
}

std::string why_plaintext(const Probe& probe, const Sightings& seen, const engine::Status& status) {
  if (!probe.exemption.empty()) return probe.exemption;
  const auto& clear = *seen.in_clear;
  if (!status.installed) return "Sheath is not applied on this node";
  if (clear.source && *clear.source != probe.source) return translated(probe, *clear.source);
  const auto* program = find_egress(clear.device, status);
  if (program == nullptr && clear.source) return "no program of Sheath's is attached to " + clear.device + ", egress";
  const auto* peer = find_peer(probe, status);
  if (peer == nullptr) return "the maps know no peer with " + probe.destination.text();
  if (!peer->ready || !has_tunnel(status)) {
    return (peer->ready ? "there is no tunnel device"
                        : probe.peer + " is not ready: " + engine::peer_state(status, *peer)) +
           ", and the mode is permissive";
  }
  if (is_node_traffic(probe.traffic)) return "node encryption is wanted, but not in force for this peer";
  return "no cause that this node can see: look for what else is attached to " + clear.device;
}

std::string why_not_sent(const Probe& probe, const engine::Status& status) {
  const auto* peer = find_peer(probe, status);
  if (!status.installed) return "it left by no device: something in this host drops it";
  if (peer == nullptr) return "dropped: the maps know no peer with " + probe.destination.text();
  if (!peer->ready) return "dropped: " + probe.peer + " is not ready: " + engine::peer_state(status, *peer);
  if (!has_tunnel(status)) return "dropped: there is no tunnel device";
  return "it left by no device: something in this host drops it, such as its firewall";
}

std::string why_no_ciphertext(const Probe& probe, const engine::Status& status) {
  const auto in = "it went into " + tunnel_name(status) + ", and nothing came out: ";
  const auto* peer = find_peer(probe, status);
  if (status.xfrm) return in + "no policy or no ESP state for " + probe.peer + " took it (`sheath encrypt status`)";
  if (peer != nullptr && !peer->public_key) return in + probe.peer + " is no peer of the device";
  return in + "no handshake with " + probe.peer;
}

std::string why_unreachable(const Probe& probe, const Sightings& seen, const engine::Status& status) {
  if (!seen.send_error.empty()) return "this host does not send it: " + seen.send_error;
  if (!seen.entered_tunnel) return why_not_sent(probe, status);
  if (seen.outer.empty()) return why_no_ciphertext(probe, status);
  return "it went out as " + seen.outer + ", and no answer came: " + probe.peer +
         " is away, cannot decrypt it, or does not run Sheath";
}

}  // namespace

std::string explain(const Probe& probe, const Sightings& seen, const engine::Status& status) {
  switch (judge(seen)) {
    case Verdict::kEncrypted:
      return "";
    case Verdict::kPlaintext:
      return why_plaintext(probe, seen, status);
    case Verdict::kUnreachable:
      return why_unreachable(probe, seen, status);
  }
  return "";
}

}  // namespace sheath::verify
