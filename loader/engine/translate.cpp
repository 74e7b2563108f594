// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/translate.hpp"

#include <algorithm>

namespace sheath::engine {
namespace {

plan::TunnelReference reference(std::uint32_t configured, std::uint32_t existing) {
  if (configured == 0) return plan::TunnelReference::kFenced;
  return configured == existing ? plan::TunnelReference::kTunnel : plan::TunnelReference::kStale;
}

}  // namespace

DeviceNames device_names(const std::vector<netlink::Link>& links) {
  DeviceNames names;
  for (const auto& link : links) names.emplace(link.ifindex, link.name);
  return names;
}

bpf::Place to_place(const plan::Attachment& where) {
  return {where.program, where.device};
}

plan::Attachment to_attachment(const bpf::Place& place) {
  return {place.program, place.device};
}

sheath_config to_config(const plan::ProgramSettings& settings, std::uint32_t tunnel_ifindex,
                        std::uint32_t uplink_ifindex) {
  sheath_config config{};
  config.build = settings.build;
  config.tunnel_ifindex = settings.tunnel == plan::TunnelReference::kFenced ? 0 : tunnel_ifindex;
  config.uplink_ifindex = uplink_ifindex;
  config.wireguard_port = settings.wireguard_port;
  config.l2_len = settings.l2_len;
  config.strict = settings.strict;
  config.node_encryption = settings.node_encryption;
  config.fast_path = settings.fast_path;
  config.via_uplink = settings.via_uplink;
  config.trace = settings.trace;
  return config;
}

plan::ProgramSettings to_settings(const sheath_config& config, std::uint32_t tunnel_ifindex,
                                  const DeviceNames& devices) {
  plan::ProgramSettings settings;
  settings.build = config.build;
  settings.tunnel = reference(config.tunnel_ifindex, tunnel_ifindex);
  if (config.uplink_ifindex != 0) {
    const auto uplink = devices.find(config.uplink_ifindex);
    settings.uplink = uplink == devices.end() ? "?" : uplink->second;
  }
  settings.wireguard_port = config.wireguard_port;
  settings.l2_len = config.l2_len;
  settings.strict = config.strict != 0;
  settings.node_encryption = config.node_encryption != 0;
  settings.fast_path = config.fast_path != 0;
  settings.via_uplink = config.via_uplink != 0;
  settings.trace = config.trace != 0;
  return settings;
}

plan::Tunnel to_tunnel(const netlink::Link& link, const netlink::WireGuardDevice& device, bool rp_filter_off) {
  plan::Tunnel tunnel;
  tunnel.name = link.name;
  tunnel.mtu = link.mtu;
  tunnel.up = link.up;
  tunnel.rp_filter_off = rp_filter_off;
  if (device.public_key) tunnel.public_key.bytes = *device.public_key;
  tunnel.listen_port = device.listen_port;
  tunnel.fwmark = device.fwmark;
  for (const auto& peer : device.peers) {
    tunnel.peers[keys::PublicKey{peer.public_key}] = {
        peer.endpoint, peer.keepalive, {peer.allowed_ips.begin(), peer.allowed_ips.end()}};
  }
  return tunnel;
}

netlink::WireGuardPeerPatch to_patch(const plan::SetTunnelPeer& step) {
  netlink::WireGuardPeerPatch patch;
  patch.public_key = step.key.bytes;
  patch.update_only = !step.create;
  patch.endpoint = step.endpoint;
  patch.keepalive = step.keepalive;
  patch.allowed_ips.assign(step.add_allowed_ips.begin(), step.add_allowed_ips.end());
  return patch;
}

sheath_owner to_owner(const plan::Owner& owner) {
  return {owner.kind, owner.node_id, 0};
}

sheath_peer to_peer(const plan::PeerEntry& entry) {
  return {entry.tx_mark, entry.ready ? SHEATH_PEER_ready : SHEATH_PEER_not_ready, {}};
}

sheath_endpoint to_endpoint(const plan::EndpointEntry& entry) {
  sheath_endpoint endpoint{};
  endpoint.ifindex = entry.ifindex;
  std::ranges::copy(entry.pod_mac, endpoint.pod_mac);
  std::ranges::copy(entry.host_mac, endpoint.host_mac);
  return endpoint;
}

plan::Owner from_owner(const sheath_owner& owner) {
  return {owner.kind, owner.node_id};
}

plan::PeerEntry from_peer(const sheath_peer& peer) {
  return {peer.tx_mark, peer.state == SHEATH_PEER_ready};
}

plan::EndpointEntry from_endpoint(const sheath_endpoint& endpoint) {
  plan::EndpointEntry entry;
  entry.ifindex = endpoint.ifindex;
  std::ranges::copy(endpoint.pod_mac, entry.pod_mac.begin());
  std::ranges::copy(endpoint.host_mac, entry.host_mac.begin());
  return entry;
}

}  // namespace sheath::engine
