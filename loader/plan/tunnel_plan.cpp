// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/tunnel_plan.hpp"

#include <algorithm>
#include <iterator>

namespace sheath::plan {
namespace {

std::set<Cidr> difference(const std::set<Cidr>& left, const std::set<Cidr>& right) {
  std::set<Cidr> out;
  std::ranges::set_difference(left, right, std::inserter(out, out.end()));
  return out;
}

std::set<Cidr> all_allowed_ips(const TunnelPeers& peers) {
  std::vector<Cidr> all;
  for (const auto& [key, peer] : peers) all.insert(all.end(), peer.allowed_ips.begin(), peer.allowed_ips.end());
  return {all.begin(), all.end()};
}

void plan_new_peer(const Tunnel& tunnel, const keys::PublicKey& key, const TunnelPeer& peer, Plan& plan) {
  SetTunnelPeer step{tunnel.name, key, peer.endpoint, std::nullopt, peer.allowed_ips, true};
  if (peer.keepalive != 0) step.keepalive = peer.keepalive;
  plan.emplace_back(std::move(step));
}

// A peer without an endpoint of its own keeps the one that WireGuard learnt.
void plan_changed_peer(const Tunnel& tunnel, const keys::PublicKey& key, const TunnelPeer& from, Plan& plan) {
  const auto& to = tunnel.peers.at(key);
  SetTunnelPeer step{tunnel.name, key, std::nullopt, std::nullopt, difference(to.allowed_ips, from.allowed_ips), false};
  if (to.endpoint && to.endpoint != from.endpoint) step.endpoint = to.endpoint;
  if (to.keepalive != from.keepalive) step.keepalive = to.keepalive;
  if (step.endpoint || step.keepalive || !step.add_allowed_ips.empty()) plan.emplace_back(std::move(step));
}

}  // namespace

void plan_tunnel_device(const Tunnel& desired, const std::optional<Tunnel>& actual, Plan& plan) {
  if (!actual) plan.emplace_back(CreateTunnel{desired.name});
  const Tunnel now = actual.value_or(Tunnel{});
  if (now.public_key != desired.public_key || now.listen_port != desired.listen_port || now.fwmark != desired.fwmark) {
    plan.emplace_back(ConfigureTunnel{desired.name, desired.public_key, desired.listen_port, desired.fwmark});
  }
  if (now.mtu != desired.mtu) plan.emplace_back(SetTunnelMtu{desired.name, desired.mtu});
  if (!now.rp_filter_off) plan.emplace_back(SetRpFilterOff{desired.name});
  if (!now.up) plan.emplace_back(SetTunnelUp{desired.name});
}

void plan_tunnel_additions(const Tunnel& desired, const std::optional<Tunnel>& actual, Plan& plan) {
  const TunnelPeers none;
  const auto& now = actual ? actual->peers : none;
  for (const auto& [key, peer] : desired.peers) {
    const auto found = now.find(key);
    if (found == now.end()) {
      plan_new_peer(desired, key, peer, plan);
    } else {
      plan_changed_peer(desired, key, found->second, plan);
    }
  }
}

void plan_tunnel_removals(const Tunnel& desired, const std::optional<Tunnel>& actual, Plan& plan) {
  if (!actual) return;
  // What another peer has by now is gone from its old one already.
  const auto wanted = all_allowed_ips(desired.peers);
  for (const auto& [key, peer] : actual->peers) {
    if (!desired.peers.contains(key)) {
      plan.emplace_back(RemoveTunnelPeer{desired.name, key});
    } else if (auto gone = difference(peer.allowed_ips, wanted); !gone.empty()) {
      plan.emplace_back(DropAllowedIps{desired.name, key, std::move(gone)});
    }
  }
}

}  // namespace sheath::plan
