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
  void operator()(const CreateTunnel& step) {
    node_.tunnel.emplace();
    node_.tunnel->name = step.name;
    node_.tunnel->mtu = 1420;
  }
  void operator()(const ConfigureTunnel& step) {
    auto& tunnel = node_.tunnel.value();
    tunnel.public_key = step.public_key;
    tunnel.listen_port = step.listen_port;
    tunnel.fwmark = step.fwmark;
  }
  void operator()(const SetTunnelMtu& step) { node_.tunnel.value().mtu = step.mtu; }
  void operator()(const SetRpFilterOff&) { node_.tunnel.value().rp_filter_off = true; }
  void operator()(const SetTunnelUp&) { node_.tunnel.value().up = true; }
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
  void operator()(const RemoveTunnel&) { lose_tunnel(node_); }
  void operator()(const RemoveMaps&) {
    node_.pins = Pins::kNone;
    node_.maps = {};
  }

  // The device goes, by our step or by somebody's hand: what was attached to it goes too, what sends into it is stale.
  static void lose_tunnel(Actual& node) {
    node.tunnel.reset();
    for (auto it = node.programs.begin(); it != node.programs.end();) {
      if (it->first.program == SHEATH_DIRECTION_tunnel_ingress) {
        node.orphans.insert(it->first);
        it = node.programs.erase(it);
        continue;
      }
      if (it->second.tunnel == TunnelReference::kTunnel) it->second.tunnel = TunnelReference::kStale;
      ++it;
    }
  }

 private:
  void attach(const Attachment& where, ProgramSettings settings) {
    if (!node_.tunnel && settings.tunnel == TunnelReference::kTunnel) settings.tunnel = TunnelReference::kStale;
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
