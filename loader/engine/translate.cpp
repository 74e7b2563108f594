// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/translate.hpp"

#include <algorithm>

#include "maps/lengths.hpp"
#include "maps/marks.h"
#include "maps/own_pods.hpp"

namespace sheath::engine {
namespace {

plan::TunnelReference reference(std::uint32_t configured, std::uint32_t existing) {
  if (configured == 0) return plan::TunnelReference::kFenced;
  return configured == existing ? plan::TunnelReference::kTunnel : plan::TunnelReference::kStale;
}

// The lab prints reqid 1; if_id is the one of cilium_xfrm0.
constexpr std::uint32_t kIfId = plan::kXfrmIfId;
constexpr std::uint32_t kReqid = 1;
constexpr std::uint32_t kPolicyPriority = 100;
constexpr std::uint32_t kTransmitMask = 0xffffff00;
constexpr std::uint32_t kWholeMark = 0xffffffff;

std::uint16_t node_of(std::uint32_t mark) {
  return static_cast<std::uint16_t>(mark >> SHEATH_MARK_NODE_SHIFT);
}

std::uint8_t generation_of(std::uint32_t mark) {
  return static_cast<std::uint8_t>((mark & SHEATH_MARK_KEY_MASK) >> SHEATH_MARK_KEY_SHIFT);
}

std::string name_of(std::uint32_t ifindex, const DeviceNames& devices) {
  if (ifindex == 0) return {};
  const auto device = devices.find(ifindex);
  return device == devices.end() ? "?" : device->second;
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

sheath_config to_config(const plan::ProgramSettings& settings, const DeviceIndexes& devices) {
  sheath_config config{};
  config.build = settings.build;
  config.tunnel_ifindex = settings.tunnel == plan::TunnelReference::kFenced ? 0 : devices.tunnel;
  config.uplink_ifindex = devices.uplink;
  config.pod_uplink_ifindex = devices.pod_uplink;
  config.wireguard_port = settings.wireguard_port;
  config.vxlan_port = settings.vxlan_port;
  config.ipv4_mtu = settings.ipv4_mtu;
  config.overlay = settings.overlay;
  config.marked = settings.engine == plan::Engine::kIpsec;
  config.l2_len = settings.l2_len;
  config.strict = settings.strict;
  config.node_encryption = static_cast<std::uint8_t>(settings.node_encryption);
  config.fast_path = settings.fast_path;
  config.via_uplink = settings.via_uplink;
  config.trace = settings.trace;
  config.tunnel_mtu = settings.tunnel_mtu;
  maps::put_lengths(settings.lengths, config);
  maps::put_own_pods(settings.own_pods, config);
  return config;
}

plan::ProgramSettings to_settings(const sheath_config& config, const TunnelIndexes& tunnels,
                                  const DeviceNames& devices) {
  plan::ProgramSettings settings;
  settings.build = config.build;
  settings.engine = config.marked != 0 ? plan::Engine::kIpsec : plan::Engine::kWireguard;
  const auto tunnel = settings.engine == plan::Engine::kIpsec ? tunnels.ipsec : tunnels.wireguard;
  settings.tunnel = reference(config.tunnel_ifindex, tunnel);
  settings.vxlan_port = config.vxlan_port;
  settings.ipv4_mtu = config.ipv4_mtu;
  settings.overlay = config.overlay != 0;
  settings.uplink = name_of(config.uplink_ifindex, devices);
  settings.pod_uplink = name_of(config.pod_uplink_ifindex, devices);
  settings.wireguard_port = config.wireguard_port;
  settings.l2_len = config.l2_len;
  settings.strict = config.strict != 0;
  settings.node_encryption = static_cast<sheath_node_encryption>(config.node_encryption);
  settings.fast_path = config.fast_path != 0;
  settings.via_uplink = config.via_uplink != 0;
  settings.trace = config.trace != 0;
  settings.tunnel_mtu = config.tunnel_mtu;
  settings.lengths = maps::take_lengths(config);
  settings.own_pods = maps::take_own_pods(config);
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

netlink::Rule detour_rule(Family family) {
  return {family, plan::kDetourRulePriority, SHEATH_MARK_ENCRYPT, kWholeMark, plan::kDetourTable};
}

netlink::NewRoute detour_route(const IpAddress& to, const plan::Way& way) {
  netlink::NewRoute route;
  route.destination = Cidr::host(to);
  route.ifindex = way.ifindex;
  route.gateway = way.gateway;
  route.source = way.source;
  route.table = plan::kDetourTable;
  return route;
}

netlink::XfrmState to_xfrm(const plan::EspState& state, std::uint32_t replay_window) {
  const bool transmit = state.use == plan::StateUse::kTransmit;
  netlink::XfrmState out;
  out.source = transmit ? state.ends.own : state.ends.peer;
  out.destination = transmit ? state.ends.peer : state.ends.own;
  out.spi = state.spi;
  out.reqid = kReqid;
  out.if_id = kIfId;
  if (transmit) {
    out.mark = {sheath_tx_mark(state.node_id, state.generation), kTransmitMask};
    out.output_mark = {SHEATH_MARK_ENCRYPT, kWholeMark};
  } else {
    out.output_mark = {sheath_rx_mark(state.node_id, state.generation), kWholeMark};
  }
  out.replay_window = replay_window;
  out.esn = true;
  out.af_unspec = true;
  return out;
}

std::optional<plan::EspState> from_xfrm(const netlink::XfrmState& state) {
  const auto& mark = state.mark ? state.mark : state.output_mark;
  if (!mark || state.reqid != kReqid) return std::nullopt;
  const bool transmit = state.mark.has_value();
  const auto magic = mark->value & SHEATH_MARK_WHOLE_MAGIC_MASK;
  if (magic != (transmit ? SHEATH_MARK_ENCRYPT : SHEATH_MARK_DECRYPT)) return std::nullopt;
  plan::EspState out;
  out.use = transmit ? plan::StateUse::kTransmit : plan::StateUse::kReceive;
  out.node_id = node_of(mark->value);
  out.generation = generation_of(mark->value);
  out.ends =
      transmit ? plan::TunnelEnds{state.source, state.destination} : plan::TunnelEnds{state.destination, state.source};
  out.spi = state.spi;
  return out;
}

netlink::XfrmPolicy to_xfrm(const plan::EspPolicy& policy) {
  netlink::XfrmPolicy out;
  out.source = policy.source;
  out.destination = policy.destination;
  out.direction = netlink::XfrmDirection::kOut;
  out.priority = kPolicyPriority;
  out.if_id = kIfId;
  out.mark = {sheath_tx_mark(policy.node_id, policy.generation), kTransmitMask};
  out.encryption = {policy.ends.own, policy.ends.peer, policy.spi, kReqid, false};
  return out;
}

std::optional<plan::EspPolicy> from_xfrm(const netlink::XfrmPolicy& policy) {
  const auto& tunnel = policy.encryption;
  if (policy.direction != netlink::XfrmDirection::kOut || !policy.mark || !tunnel) return std::nullopt;
  if (!tunnel->source || !tunnel->destination) return std::nullopt;
  if ((policy.mark->value & SHEATH_MARK_WHOLE_MAGIC_MASK) != SHEATH_MARK_ENCRYPT) return std::nullopt;
  return plan::EspPolicy{policy.source,
                         policy.destination,
                         node_of(policy.mark->value),
                         generation_of(policy.mark->value),
                         {*tunnel->source, *tunnel->destination},
                         tunnel->spi};
}

std::vector<netlink::XfrmPolicy> delivery_policies() {
  std::vector<netlink::XfrmPolicy> out;
  for (const auto family : {Family::kIpv4, Family::kIpv6}) {
    for (const auto direction : {netlink::XfrmDirection::kIn, netlink::XfrmDirection::kForward}) {
      netlink::XfrmPolicy policy;
      policy.source = policy.destination = Cidr{IpAddress{family, {}}, 0};
      policy.direction = direction;
      policy.priority = kPolicyPriority;
      policy.if_id = kIfId;
      policy.encryption = netlink::XfrmTemplate{std::nullopt, std::nullopt, 0, kReqid, true};
      out.push_back(policy);
    }
  }
  return out;
}

sheath_owner to_owner(const plan::Owner& owner) {
  return {owner.kind, owner.node_id, 0};
}

sheath_peer to_peer(const plan::PeerEntry& entry) {
  sheath_peer peer{};
  peer.tx_mark = entry.tx_mark;
  peer.state = entry.ready ? SHEATH_PEER_ready : SHEATH_PEER_not_ready;
  peer.node_traffic = entry.node_traffic;
  if (entry.underlay) std::ranges::copy(entry.underlay->mapped(), peer.underlay.addr);
  return peer;
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
  plan::PeerEntry entry{peer.tx_mark, peer.state == SHEATH_PEER_ready, std::nullopt, peer.node_traffic};
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(peer.underlay.addr, bytes.begin());
  if (bytes != decltype(bytes){}) entry.underlay = IpAddress::from_mapped(bytes);
  return entry;
}

plan::Heard from_heard(const sheath_heard& heard) {
  return {heard.keys, heard.uses};
}

plan::EndpointEntry from_endpoint(const sheath_endpoint& endpoint) {
  plan::EndpointEntry entry;
  entry.ifindex = endpoint.ifindex;
  std::ranges::copy(endpoint.pod_mac, entry.pod_mac.begin());
  std::ranges::copy(endpoint.host_mac, entry.host_mac.begin());
  return entry;
}

}  // namespace sheath::engine
