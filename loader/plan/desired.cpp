// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/desired.hpp"

#include <algorithm>

#include "loader/plan/node_ids.hpp"
#include "maps/marks.h"

namespace sheath::plan {
namespace {

// RFC 791: what every IPv4 host accepts; below it the tunnel would be of no use.
constexpr std::uint32_t kSmallestTunnelMtu = 576;
constexpr std::uint32_t kSmallestIpv6Mtu = 1280;  // RFC 8200, section 5
constexpr std::uint8_t kEthernetHeader = 14;
constexpr std::uint8_t kNoHeader = 0;  // cilium_wg0: packets start at their IP header

using Peers = std::vector<const state::Node*>;

const state::Node& own_node(const Inputs& in) {
  return in.cluster.at(in.config.node_name);
}

Peers peers_of(const Inputs& in) {
  Peers peers;
  for (const auto& [name, node] : in.cluster) {
    if (name != in.config.node_name) peers.push_back(&node);
  }
  return peers;
}

// The first address of a family that this node has too; IPv4 before IPv6.
std::optional<Endpoint> endpoint_of(const state::Node& peer, const state::Node& own, std::uint16_t port) {
  for (const auto family : {Family::kIpv4, Family::kIpv6}) {
    const auto matches = [&](const IpAddress& address) { return address.family == family; };
    if (std::ranges::none_of(own.node_ips, matches)) continue;
    const auto found = std::ranges::find_if(peer.node_ips, matches);
    if (found != peer.node_ips.end()) return Endpoint{*found, port};
  }
  return std::nullopt;
}

void add_owners(const state::Node& node, const Owner& owner, Maps& maps) {
  for (const auto& address : node.node_ips) maps.node_ips[address] = owner;
  for (const auto& cidr : node.pod_cidrs) maps.pod_cidrs[cidr] = owner;
}

void add_peer(const Inputs& in, const state::Node& peer, std::uint16_t id, Desired& desired) {
  add_owners(peer, {SHEATH_KIND_remote, id}, desired.maps);
  const auto endpoint = endpoint_of(peer, own_node(in), in.config.wireguard.listen_port);
  desired.maps.peers[id] = {sheath_tx_mark(id, 0), peer.wireguard_key.has_value() && endpoint.has_value()};
  desired.names.nodes[id] = peer.name;
  if (!peer.wireguard_key) {
    desired.waiting_for_key.push_back(peer.name);
    return;
  }
  if (!endpoint) desired.warnings.push_back("node " + peer.name + " has no address of a family that this node has");
  desired.names.keys[*peer.wireguard_key] = peer.name;
  desired.tunnel->peers[*peer.wireguard_key] = {
      endpoint, in.config.wireguard.persistent_keepalive, {peer.pod_cidrs.begin(), peer.pod_cidrs.end()}};
}

// An entry of a node wins over the cluster's where both are the same prefix.
void add_cluster_range(const Inputs& in, Desired& desired) {
  for (const auto& cidr : in.config.cluster_pod_cidrs) {
    desired.maps.pod_cidrs.try_emplace(cidr, Owner{SHEATH_KIND_cluster, 0});
  }
  if (in.config.cluster_pod_cidrs.empty()) {
    desired.warnings.push_back(
        "clusterPodCIDRs is not set: packets to pods of a node that is not known here leave unencrypted");
  }
}

Result<Tunnel> tunnel_of(const Inputs& in) {
  const auto& uplinks = in.facts.uplinks;
  const auto smallest = std::ranges::min_element(uplinks, {}, &Uplink::mtu);
  if (smallest == uplinks.end()) return fail(Error::misuse("no uplink").hint("set devices"));
  if (smallest->mtu < kSmallestTunnelMtu + kWireguardOverhead) {
    return fail(Error::misuse("devices: " + smallest->name + " has MTU " + std::to_string(smallest->mtu) +
                              ", WireGuard needs " + std::to_string(kSmallestTunnelMtu + kWireguardOverhead)));
  }
  Tunnel tunnel;
  tunnel.mtu = smallest->mtu - kWireguardOverhead;
  tunnel.up = true;
  tunnel.rp_filter_off = true;
  tunnel.public_key = own_node(in).wireguard_key.value_or(keys::PublicKey{});
  tunnel.listen_port = in.config.wireguard.listen_port;
  tunnel.fwmark = kWireguardMark;
  return tunnel;
}

// rp_filter of `all` counts even where the device's own is off, and drops what comes out of a device without address.
bool via_uplink(const Inputs& in) {
  switch (in.config.delivery) {
    case state::Delivery::kStack:
      return false;
    case state::Delivery::kUplink:
      return true;
    case state::Delivery::kAuto:
      break;
  }
  return in.facts.all_rp_filter != 0;
}

ProgramSettings settings_of(const Inputs& in, Program program, std::uint8_t l2_len) {
  ProgramSettings settings;
  if (const auto build = in.facts.builds.find(program); build != in.facts.builds.end()) settings.build = build->second;
  settings.tunnel = TunnelReference::kTunnel;
  settings.wireguard_port = in.config.wireguard.listen_port;
  settings.l2_len = l2_len;
  settings.strict = in.config.mode == state::Mode::kStrict;
  settings.node_encryption = in.config.node_encryption;
  return settings;
}

ProgramSettings tunnel_ingress_settings(const Inputs& in) {
  auto settings = settings_of(in, SHEATH_DIRECTION_tunnel_ingress, kNoHeader);
  settings.fast_path = in.config.fast_path;
  settings.via_uplink = via_uplink(in);
  if (settings.via_uplink) settings.uplink = in.facts.uplinks.front().name;
  return settings;
}

void add_programs(const Inputs& in, Desired& desired) {
  for (const auto& uplink : in.facts.uplinks) {
    for (const auto program : {SHEATH_DIRECTION_uplink_egress, SHEATH_DIRECTION_uplink_ingress}) {
      desired.programs[{program, uplink.name}] = settings_of(in, program, uplink.l2_len);
    }
  }
  desired.programs[{SHEATH_DIRECTION_tunnel_ingress, kWireguardDevice}] = tunnel_ingress_settings(in);
  if (!in.config.fast_path) return;
  for (const auto& [address, pod] : in.facts.pods) {
    auto settings = settings_of(in, SHEATH_DIRECTION_pod_egress, kEthernetHeader);
    settings.fast_path = true;
    desired.programs[{SHEATH_DIRECTION_pod_egress, pod.device}] = settings;
    desired.maps.endpoints[address] = pod.entry;
  }
}

void add_warnings(const Inputs& in, Desired& desired) {
  const bool ipv6 = std::ranges::any_of(own_node(in).pod_cidrs,
                                        [](const Cidr& cidr) { return cidr.address.family == Family::kIpv6; });
  if (ipv6 && desired.tunnel->mtu < kSmallestIpv6Mtu) {
    desired.warnings.push_back("the tunnel's MTU is " + std::to_string(desired.tunnel->mtu) +
                               ": IPv6 needs 1280, so IPv6 pods will not reach other nodes");
  }
  if (in.config.delivery == state::Delivery::kStack && in.facts.all_rp_filter != 0) {
    desired.warnings.push_back("net.ipv4.conf.all.rp_filter is " + std::to_string(in.facts.all_rp_filter) +
                               ": with delivery stack the kernel drops decrypted IPv4 packets");
  }
}

}  // namespace

Result<Desired> build_desired(const Inputs& in) {
  Desired desired;
  desired.publication = in.publication;
  if (in.config.encryption == state::Encryption::kNone) return desired;

  if (!in.cluster.contains(in.config.node_name)) {
    return fail(Error::misuse("nodeName: the cluster has no node " + in.config.node_name));
  }
  auto tunnel = tunnel_of(in);
  if (!tunnel) return fail(tunnel.error());
  desired.tunnel = std::move(*tunnel);

  const auto peers = peers_of(in);
  const auto ids = assign_node_ids(peers, in.maps);
  if (!ids) return fail(ids.error());
  for (const auto* peer : peers) add_peer(in, *peer, ids->at(peer->name), desired);
  add_owners(own_node(in), {SHEATH_KIND_local, 0}, desired.maps);
  add_cluster_range(in, desired);
  add_programs(in, desired);
  add_warnings(in, desired);
  return desired;
}

}  // namespace sheath::plan
