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

// Allowed IPs that nobody is to have any more; what another peer has by now is gone from its old one already.
class Unwanted {
 public:
  explicit Unwanted(const TunnelPeers& wanted) : wanted_(wanted) {}

  std::set<Cidr> of(const keys::PublicKey& key, const std::set<Cidr>& allowed_ips) {
    auto out = difference(allowed_ips, wanted_.at(key).allowed_ips);
    if (!out.empty()) std::erase_if(out, [this](const Cidr& cidr) { return all().contains(cidr); });
    return out;
  }

 private:
  // Collected when it is asked for: mostly no peer loses anything.
  const std::set<Cidr>& all() {
    if (!all_.empty() || wanted_.empty()) return all_;
    for (const auto& [key, peer] : wanted_) all_.insert(peer.allowed_ips.begin(), peer.allowed_ips.end());
    return all_;
  }

  const TunnelPeers& wanted_;
  std::set<Cidr> all_;
};

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
  Unwanted unwanted(desired.peers);
  for (const auto& [key, peer] : actual->peers) {
    if (!desired.peers.contains(key)) {
      plan.emplace_back(RemoveTunnelPeer{desired.name, key});
    } else if (auto gone = unwanted.of(key, peer.allowed_ips); !gone.empty()) {
      plan.emplace_back(DropAllowedIps{desired.name, key, std::move(gone)});
    }
  }
}

}  // namespace sheath::plan
