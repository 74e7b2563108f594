// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/plan/step.hpp"

// The kernel as the planner sees it: what each step makes of a node's state. For the tests of the planner.
namespace sheath::plan {

class Simulator {
 public:
  explicit Simulator(Actual& node) : node_(node) {}

  void operator()(const Fence& step) {
    node_.pins = Pins::kAll;
    for (const auto& [key, value] : step.maps.node_ips) node_.maps.node_ips[key] = value;
    for (const auto& [key, value] : step.maps.pod_cidrs) node_.maps.pod_cidrs[key] = value;
    for (const auto& [key, value] : step.maps.peers) node_.maps.peers[key] = value;
    for (const auto& [where, settings] : step.programs) attach(where, settings);
  }
  void operator()(const CreateMaps&) { node_.pins = Pins::kAll; }
  // IPsec
  void operator()(const CreateXfrm&) { node_.ipsec.device = XfrmDevice{1500, false}; }
  void operator()(const SetDeliveryPolicies&) { node_.ipsec.delivery_policies = true; }
  void operator()(const DrawSession&) { node_.ipsec.sessions = true; }
  void operator()(const RetireSession&) {}
  void operator()(const AddState& step) { node_.ipsec.states.push_back({step.state, std::nullopt, 0}); }
  void operator()(const DropState& step) {
    std::erase_if(node_.ipsec.states, [&](const SeenState& seen) { return seen.state == step.state; });
  }
  void operator()(const RecordPairs& step) {
    for (const auto& [peer, key] : step.sessions) recorded[step.generation][peer] = key;
  }
  void operator()(const SetPolicies& step) {
    for (const auto& policy : step.policies) {
      std::erase_if(node_.ipsec.policies, [&](const EspPolicy& other) { return same_place(other, policy); });
      node_.ipsec.policies.insert(policy);
    }
  }
  void operator()(const DropPolicies& step) {
    for (const auto& policy : step.policies) node_.ipsec.policies.erase(policy);
  }
  // Whoever is knocked at shakes hands.
  void operator()(const SendProbes& step) {
    if (step.device != kWireguardDevice) return;
    for (const auto& [key, peer] : node_.tunnel.value().peers) node_.shaken_hands.insert(key);
  }
  void operator()(const ForgetHeard& step) {
    const auto rest = static_cast<std::uint16_t>(~(1u << step.generation));
    node_.maps.heard[step.node_id].keys &= rest;
    node_.maps.heard[step.node_id].uses &= rest;
  }
  void operator()(const CreateOverlay& step) {
    node_.overlay.emplace();
    node_.overlay->port = step.port;
  }
  void operator()(const AddOverlayAddress& step) { node_.overlay.value().addresses.insert(step.address); }
  void operator()(const SetOverlayRoute& step) { node_.overlay.value().routes[step.destination] = step.source; }
  void operator()(const DropOverlayRoute& step) { node_.overlay.value().routes.erase(step.destination); }
  void operator()(const SetBackstop& step) { node_.backstop = digest(step.backstop); }
  void operator()(const RemoveBackstop&) { node_.backstop.reset(); }
  void operator()(const SetDetourRoute& step) { node_.detour.routes[step.to] = step.way; }
  void operator()(const DropDetourRoute& step) { node_.detour.routes.erase(step.to); }
  void operator()(const AddDetourRule& step) { node_.detour.rules.insert(step.family); }
  void operator()(const DropDetourRule& step) { node_.detour.rules.erase(step.family); }
  void operator()(const Pause&) {}
  void operator()(const FlushIpsec&) {
    node_.ipsec.states.clear();
    node_.ipsec.policies.clear();
    node_.ipsec.delivery_policies = false;
  }
  void operator()(const RemoveSessions&) { node_.ipsec.sessions = false; }

  // What was recorded, by generation and peer.
  std::map<std::uint8_t, std::map<std::string, keys::PublicKey>> recorded;

  void operator()(const CreateTunnel& step) {
    node_.tunnel.emplace();
    node_.shaken_hands.clear();
    node_.tunnel->name = step.name;
    node_.tunnel->mtu = 1420;
  }
  void operator()(const ConfigureTunnel& step) {
    auto& tunnel = node_.tunnel.value();
    tunnel.public_key = step.public_key;
    tunnel.listen_port = step.listen_port;
    tunnel.fwmark = step.fwmark;
  }
  void operator()(const SetTunnelMtu& step) {
    if (step.name == kXfrmDevice) {
      node_.ipsec.device.value().mtu = step.mtu;
    } else if (step.name == kOverlayDevice) {
      node_.overlay.value().mtu = step.mtu;
    } else {
      node_.tunnel.value().mtu = step.mtu;
    }
  }
  void operator()(const SetRpFilterOff&) { node_.tunnel.value().rp_filter_off = true; }
  void operator()(const SetTunnelUp& step) {
    if (step.name == kXfrmDevice) {
      node_.ipsec.device.value().up = true;
    } else if (step.name == kOverlayDevice) {
      node_.overlay.value().up = true;
    } else {
      node_.tunnel.value().up = true;
    }
  }
  void operator()(const Publish& step) { node_.publication = step.publication; }
  void operator()(const Withdraw&) { node_.publication.reset(); }
  void operator()(const SetTunnelPeer& step) {
    auto& peers = node_.tunnel.value().peers;
    if (!step.create && !peers.contains(step.key)) return;
    for (auto& [key, peer] : peers) {
      for (const auto& cidr : step.add_allowed_ips) peer.allowed_ips.erase(cidr);
    }
    auto& peer = peers[step.key];
    peer.allowed_ips.insert(step.add_allowed_ips.begin(), step.add_allowed_ips.end());
    if (step.endpoint) peer.endpoint = step.endpoint;
    if (step.keepalive) peer.keepalive = *step.keepalive;
  }
  void operator()(const DropAllowedIps& step) {
    auto& peer = node_.tunnel.value().peers.at(step.key);
    for (const auto& cidr : step.allowed_ips) peer.allowed_ips.erase(cidr);
  }
  void operator()(const RemoveTunnelPeer& step) { node_.tunnel.value().peers.erase(step.key); }
  void operator()(const SetNodeIp& step) { node_.maps.node_ips[step.address] = step.owner; }
  void operator()(const SetPodCidr& step) { node_.maps.pod_cidrs[step.cidr] = step.owner; }
  void operator()(const SetPeer& step) { node_.maps.peers[step.node_id] = step.entry; }
  void operator()(const SetEndpoint& step) { node_.maps.endpoints[step.address] = step.entry; }
  void operator()(const DeleteNodeIp& step) { node_.maps.node_ips.erase(step.address); }
  void operator()(const DeletePodCidr& step) { node_.maps.pod_cidrs.erase(step.cidr); }
  void operator()(const DeletePeer& step) { node_.maps.peers.erase(step.node_id); }
  void operator()(const DeleteEndpoint& step) { node_.maps.endpoints.erase(step.address); }
  void operator()(const Attach& step) { attach(step.where, step.settings); }
  void operator()(const Detach& step) {
    node_.programs.erase(step.where);
    node_.orphans.erase(step.where);
  }
  void operator()(const RemoveTunnel& step) {
    if (step.name == kXfrmDevice) return lose_device(node_, kXfrmDevice, Engine::kIpsec);
    if (step.name == kOverlayDevice) return lose_overlay(node_);
    lose_tunnel(node_);
  }
  void operator()(const RemoveMaps&) {
    node_.pins = Pins::kNone;
    node_.maps = {};
  }

  // The device goes, by our step or by somebody's hand: what was attached to it goes too, what sends into it is stale.
  static void lose_tunnel(Actual& node) { lose_device(node, kWireguardDevice, Engine::kWireguard); }

  static void lose_device(Actual& node, const std::string& device, Engine engine) {
    if (engine == Engine::kWireguard) node.tunnel.reset();
    if (engine == Engine::kIpsec) node.ipsec.device.reset();
    detach_all(node, device);
    for (auto& [where, settings] : node.programs) {
      if (settings.engine == engine && settings.tunnel == TunnelReference::kTunnel)
        settings.tunnel = TunnelReference::kStale;
    }
  }

  static void lose_overlay(Actual& node) {
    node.overlay.reset();
    detach_all(node, kOverlayDevice);
  }

 private:
  static void detach_all(Actual& node, const std::string& device) {
    for (auto it = node.programs.begin(); it != node.programs.end();) {
      if (it->first.device != device) {
        ++it;
        continue;
      }
      node.orphans.insert(it->first);
      it = node.programs.erase(it);
    }
  }

  static bool same_place(const EspPolicy& left, const EspPolicy& right) {
    return left.source == right.source && left.destination == right.destination && left.node_id == right.node_id &&
           left.generation == right.generation;
  }

  bool has(Engine engine) const {
    return engine == Engine::kIpsec ? node_.ipsec.device.has_value() : node_.tunnel.has_value();
  }

  void attach(const Attachment& where, ProgramSettings settings) {
    if (!has(settings.engine) && settings.tunnel == TunnelReference::kTunnel) settings.tunnel = TunnelReference::kStale;
    node_.programs[where] = settings;
    node_.orphans.erase(where);
  }

  Actual& node_;
};

inline void apply_step(Actual& node, const Step& step) {
  std::visit(Simulator(node), step);
}

inline Actual apply_all(Actual node, const Plan& plan) {
  for (const auto& step : plan) apply_step(node, step);
  return node;
}

}  // namespace sheath::plan
