// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/standing.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace sheath::plan {
namespace {

template <typename Map, typename Key>
void copy_row(const Map& from, const Key& key, Map& to) {
  if (const auto found = from.find(key); found != from.end()) to.insert(*found);
}

template <typename Map>
void put_rows(const Map& rows, Map& into) {
  for (const auto& [key, value] : rows) into.insert_or_assign(key, value);
}

// Calls for each node IP and router IP, and for each pod CIDR.
template <typename ForAddress, typename ForCidr>
void each_key(Nodes nodes, ForAddress for_address, ForCidr for_cidr) {
  for (const auto* node : nodes) {
    for (const auto& address : node->node_ips) for_address(address);
    for (const auto& address : node->router_ips) for_address(address);
    for (const auto& cidr : node->pod_cidrs) for_cidr(cidr);
  }
}

// The rows of the maps that name these nodes or the cluster, and the entries of the peers that they name.
Maps rows_about(const Maps& maps, Nodes nodes, std::span<const Cidr> cluster_pod_cidrs) {
  Maps out;
  each_key(
      nodes, [&](const IpAddress& address) { copy_row(maps.node_ips, address, out.node_ips); },
      [&](const Cidr& cidr) { copy_row(maps.pod_cidrs, cidr, out.pod_cidrs); });
  for (const auto& cidr : cluster_pod_cidrs) copy_row(maps.pod_cidrs, cidr, out.pod_cidrs);
  for (const auto& [address, owner] : out.node_ips) copy_row(maps.peers, owner.node_id, out.peers);
  for (const auto& [cidr, owner] : out.pod_cidrs) copy_row(maps.peers, owner.node_id, out.peers);
  out.endpoints = maps.endpoints;
  return out;
}

}  // namespace

Standing::Standing(const Desired& done)
    : tunnel_peers_(done.tunnel ? done.tunnel->peers : TunnelPeers{}), maps_(done.maps), ids_(SHEATH_NODE_ID_MAX + 1) {
  frame_.pins = Pins::kAll;
  if (done.tunnel) {
    const auto& tunnel = *done.tunnel;
    frame_.tunnel = Tunnel{tunnel.name,       tunnel.mtu,         tunnel.up,     tunnel.rp_filter_off,
                           tunnel.public_key, tunnel.listen_port, tunnel.fwmark, {}};
  }
  if (done.ipsec) {
    frame_.ipsec.device = XfrmDevice{done.ipsec->mtu, true};
    frame_.ipsec.delivery_policies = true;
    frame_.ipsec.sessions = true;
  }
  frame_.programs = done.programs;
  if (done.backstop) frame_.backstop = digest(*done.backstop);
  frame_.publication = done.publication;
  for (const auto& [id, entry] : maps_.peers) ids_[id] = true;
}

Actual Standing::about(Nodes nodes, std::span<const Cidr> cluster_pod_cidrs) const {
  Actual out = frame_;
  out.maps = rows_about(maps_, nodes, cluster_pod_cidrs);
  for (const auto* node : nodes) {
    if (out.tunnel && node->wireguard_key) copy_row(tunnel_peers_, *node->wireguard_key, out.tunnel->peers);
  }
  return out;
}

std::uint16_t Standing::id_of(const state::Node& peer) const {
  for (const auto& address : peer.node_ips) {
    if (const auto found = maps_.node_ips.find(address); found != maps_.node_ips.end()) return found->second.node_id;
  }
  for (const auto& cidr : peer.pod_cidrs) {
    if (const auto found = maps_.pod_cidrs.find(cidr); found != maps_.pod_cidrs.end()) return found->second.node_id;
  }
  return 0;
}

void Standing::absorb(Nodes nodes, const Desired& part) {
  const auto before = rows_about(maps_, nodes, {});
  for (const auto& [address, owner] : before.node_ips) maps_.node_ips.erase(address);
  for (const auto& [cidr, owner] : before.pod_cidrs) maps_.pod_cidrs.erase(cidr);
  for (const auto& [id, entry] : before.peers) {
    maps_.peers.erase(id);
    ids_[id] = false;
  }
  for (const auto* node : nodes) {
    if (node->wireguard_key) tunnel_peers_.erase(*node->wireguard_key);
  }
  put_rows(part.maps.node_ips, maps_.node_ips);
  put_rows(part.maps.pod_cidrs, maps_.pod_cidrs);
  put_rows(part.maps.peers, maps_.peers);
  if (part.tunnel) put_rows(part.tunnel->peers, tunnel_peers_);
  for (const auto& [id, entry] : part.maps.peers) ids_[id] = true;
}

bool keep_lengths(const Actual& actual, Desired& part) {
  for (auto& [where, settings] : part.programs) {
    const auto now = actual.programs.find(where);
    if (now == actual.programs.end()) return false;
    if (maps::merged(now->second.lengths, settings.lengths) != now->second.lengths) return false;
    settings.lengths = now->second.lengths;
  }
  return true;
}

bool is_about_peers(const Plan& plan) {
  return std::ranges::all_of(plan, [](const Step& step) {
    return std::visit(
        []<typename One>(const One&) {
          return std::is_same_v<One, SetNodeIp> || std::is_same_v<One, SetPodCidr> || std::is_same_v<One, SetPeer> ||
                 std::is_same_v<One, SetTunnelPeer> || std::is_same_v<One, DropAllowedIps> ||
                 std::is_same_v<One, RemoveTunnelPeer> || std::is_same_v<One, DeleteNodeIp> ||
                 std::is_same_v<One, DeletePodCidr> || std::is_same_v<One, DeletePeer> ||
                 std::is_same_v<One, AddState> || std::is_same_v<One, DropState> || std::is_same_v<One, RecordPairs> ||
                 std::is_same_v<One, SetPolicies> || std::is_same_v<One, DropPolicies> ||
                 std::is_same_v<One, SendProbes> || std::is_same_v<One, ForgetHeard>;
        },
        step);
  });
}

}  // namespace sheath::plan
