// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/desired.hpp"

#include <algorithm>

#include "loader/plan/detour.hpp"
#include "loader/plan/node_ids.hpp"
#include "loader/plan/node_traffic.hpp"
#include "loader/state/opt_out.hpp"
#include "maps/lengths.hpp"
#include "maps/marks.h"
#include "maps/own_pods.hpp"

namespace sheath::plan {
namespace {

// RFC 791: what every IPv4 host accepts; below it the tunnel would be of no use.
constexpr std::uint32_t kSmallestTunnelMtu = 576;
constexpr std::uint32_t kSmallestIpv6Mtu = 1280;  // RFC 8200, section 5
constexpr std::uint8_t kEthernetHeader = 14;
constexpr std::size_t kMaxLengths = SHEATH_MAX_LENGTHS / 2;  // the other half: those of the state before
constexpr std::uint8_t kNoHeader = 0;                        // cilium_wg0: packets start at their IP header

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

bool is_ipsec(const Inputs& in) {
  return in.config.encryption == state::Encryption::kIpsec;
}

bool has_overlay(const Inputs& in) {
  return in.config.routing == state::Routing::kVxlan;
}

std::optional<TunnelEnds> esp_ends(const Inputs& in, const state::Node& peer) {
  const auto& own = own_node(in);
  return has_overlay(in) ? common_ends(own.router_ips, peer.router_ips) : common_ends(own.node_ips, peer.node_ips);
}

bool both_opted_in(const Inputs& in, const state::Node& peer) {
  return !state::is_opted_out(in.config, own_node(in)) && !state::is_opted_out(in.config, peer);
}

// A peer may send from its pods, and from its own addresses too unless the pair is opted out: whether it does is its
// choice, and it may be ahead of us in turning node encryption on.
std::set<Cidr> allowed_ips(const Inputs& in, const state::Node& peer) {
  std::set<Cidr> out{peer.pod_cidrs.begin(), peer.pod_cidrs.end()};
  if (!both_opted_in(in, peer)) return out;
  for (const auto& address : peer.node_ips) out.insert(Cidr::host(address));
  return out;
}

// Whether a peer that has published its key can be sent to. In permissive mode what it could not decrypt would be lost,
// and plaintext is not: it has to have shown that it has this node's key. In strict mode all that would be lost is
// dropped.
bool can_receive(const Inputs& in, const state::Node& peer, std::uint16_t id) {
  if (in.config.mode == state::Mode::kStrict || in.actual.shaken_hands.contains(*peer.wireguard_key)) return true;
  const auto entry = in.actual.maps.peers.find(id);
  const bool is_sent_to = entry != in.actual.maps.peers.end() && entry->second.ready;
  return is_sent_to && has_state(in.actual.pins) && in.actual.tunnel &&
         in.actual.tunnel->peers.contains(*peer.wireguard_key);
}

// From the first address of a pod CIDR to the first of the peer's, which nobody has; between the nodes where the pods
// have no family in common.
void knock_at(const Inputs& in, const state::Node& peer, std::uint16_t id, Desired& desired) {
  desired.waits.push_back(peer.name +
                          " is sent plaintext until it has this node's key: run sheath apply there, then here");
  for (const auto& from : own_node(in).pod_cidrs) {
    const auto to =
        std::ranges::find(peer.pod_cidrs, from.address.family, [](const Cidr& c) { return c.address.family; });
    if (to == peer.pod_cidrs.end()) continue;
    desired.knocks.push_back({id, from.address, to->address});
    return;
  }
  if (const auto ends = common_ends(own_node(in).node_ips, peer.node_ips)) {
    desired.knocks.push_back({id, ends->own, ends->peer});
  }
}

void add_wireguard_peer(const Inputs& in, const state::Node& peer, std::uint16_t id, Desired& desired) {
  const auto endpoint = endpoint_of(peer, own_node(in), in.config.wireguard.listen_port);
  if (!peer.wireguard_key) {
    desired.waiting_for_key.push_back(peer.name);
    return;
  }
  if (!endpoint) desired.warnings.push_back("node " + peer.name + " has no address of a family that this node has");
  desired.names.keys[*peer.wireguard_key] = peer.name;
  desired.tunnel->peers[*peer.wireguard_key] = {endpoint, in.config.wireguard.persistent_keepalive,
                                                allowed_ips(in, peer)};
  if (!endpoint) return;
  desired.maps.peers[id].ready = can_receive(in, peer, id);
  if (!desired.maps.peers[id].ready) knock_at(in, peer, id, desired);
}

void add_peer(const Inputs& in, const state::Node& peer, std::uint16_t id, Desired& desired) {
  add_owners(peer, {SHEATH_KIND_remote, id}, desired.maps);
  desired.maps.peers[id].tx_mark = sheath_tx_mark(id, 0);
  for (const auto& address : peer.router_ips) desired.maps.node_ips[address] = {SHEATH_KIND_remote, id};
  desired.names.nodes[id] = peer.name;
  if (has_overlay(in)) {
    if (const auto ends = common_ends(own_node(in).node_ips, peer.node_ips))
      desired.maps.peers[id].underlay = ends->peer;
  }
  if (desired.tunnel) add_wireguard_peer(in, peer, id, desired);
}

void add_ipsec(const Inputs& in, const Peers& peers, const NodeIds& ids, const NodeTraffic& traffic, Desired& desired) {
  std::vector<IpsecPeerInput> inputs;
  for (const auto* peer : peers) {
    const bool nodes_too = traffic.levels.at(peer->name) != SHEATH_NODE_TRAFFIC_plain;
    inputs.push_back({peer, ids.at(peer->name), esp_ends(in, *peer), nodes_too});
    if (inputs.back().ends) continue;
    desired.warnings.push_back("node " + peer->name + " has no " + (has_overlay(in) ? "router IP" : "address") +
                               " of a family that this node has");
  }
  const auto& own = own_node(in);
  const bool lost = !has_state(in.actual.pins);
  const auto& seen = lost ? IpsecActual{} : in.actual.ipsec;
  const auto mtu = desired.ipsec->mtu;
  desired.ipsec = build_ipsec(own, *in.ipsec, inputs, seen, lost ? Maps{} : in.actual.maps);
  desired.ipsec->mtu = mtu;
  for (const auto& [name, peer] : desired.ipsec->peers) {
    const auto known = ids.find(name);
    if (known == ids.end()) continue;
    const auto generation = generation_in_use(*desired.ipsec, name);
    desired.maps.peers[peer.node_id].tx_mark = sheath_tx_mark(peer.node_id, generation);
    desired.maps.peers[peer.node_id].ready = generation != 0;
    if (generation == 0) desired.waiting_for_key.push_back(name);
  }
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

// The smallest of the uplinks' MTUs, if a tunnel with that much around its packets can work there.
Result<std::uint32_t> uplink_mtu(const Inputs& in, const std::string& engine, std::uint32_t overhead) {
  const auto& uplinks = in.facts.uplinks;
  const auto smallest = std::ranges::min_element(uplinks, {}, &Uplink::mtu);
  if (smallest == uplinks.end()) return fail(Error::misuse("no uplink").hint("set devices"));
  if (smallest->mtu < kSmallestTunnelMtu + overhead) {
    return fail(Error::misuse("devices: " + smallest->name + " has MTU " + std::to_string(smallest->mtu) + ", " +
                              engine + " needs " + std::to_string(kSmallestTunnelMtu + overhead)));
  }
  return smallest->mtu;
}

// Around VXLAN's packets: by the families that nodes send to each other with.
std::uint32_t vxlan_overhead(const Inputs& in) {
  const auto is_ipv4 = [](const IpAddress& address) { return address.family == Family::kIpv4; };
  return std::ranges::any_of(own_node(in).node_ips, is_ipv4) ? kVxlanOverheadIpv4 : kVxlanOverheadIpv6;
}

Result<Ipsec> ipsec_engine_of(const Inputs& in) {
  const auto& own = own_node(in);
  const auto is_ipv4 = [](const IpAddress& address) { return address.family == Family::kIpv4; };
  const auto& ends = has_overlay(in) ? own.router_ips : own.node_ips;
  const auto outer = std::ranges::any_of(ends, is_ipv4) ? Family::kIpv4 : Family::kIpv6;
  const auto around = has_overlay(in) ? vxlan_overhead(in) : 0;
  const auto link = uplink_mtu(in, "IPsec", around + 100);
  if (!link) return fail(link.error());
  Ipsec ipsec;
  ipsec.mtu = *link;
  for (const auto& algorithm : in.ipsec->algorithms) {
    ipsec.mtu = std::min(ipsec.mtu, keys::esp_mtu(algorithm, outer, *link - around));
  }
  return ipsec;
}

// The peers' router IPs and pod CIDRs, by way of the overlay.
Result<Overlay> overlay_of(const Inputs& in, const Peers& peers) {
  const auto link = uplink_mtu(in, "VXLAN", vxlan_overhead(in));
  if (!link) return fail(link.error());
  const auto& own = own_node(in);
  if (own.router_ips.empty()) {
    return fail(Error::misuse("routing: vxlan needs a router IP of this node, and none is known")
                    .hint("set routerIPs; a CiliumNode has it as CiliumInternalIP, a Node in the annotation "
                          "network.cilium.io/ipv4-cilium-host"));
  }
  Overlay overlay;
  overlay.mtu = *link - vxlan_overhead(in);
  overlay.up = true;
  for (const auto& address : own.router_ips) {
    if (!in.facts.local_addresses.contains(address)) overlay.addresses.insert(address);
  }
  const auto source_for = [&](Family family) -> std::optional<IpAddress> {
    const auto found = std::ranges::find(own.router_ips, family, &IpAddress::family);
    return found == own.router_ips.end() ? std::nullopt : std::optional(*found);
  };
  for (const auto* peer : peers) {
    for (const auto& address : peer->router_ips) overlay.routes[Cidr::host(address)] = source_for(address.family);
    for (const auto& cidr : peer->pod_cidrs) overlay.routes[cidr] = source_for(cidr.address.family);
  }
  return overlay;
}

Result<Tunnel> tunnel_of(const Inputs& in) {
  const auto link = uplink_mtu(in, "WireGuard", kWireguardOverhead);
  if (!link) return fail(link.error());
  Tunnel tunnel;
  tunnel.mtu = *link - kWireguardOverhead;
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

// The overlay or uplink by which most of these addresses are reached: their packets are to seem to come from there.
std::string way_to(const std::set<IpAddress>& addresses, const Inputs& in) {
  std::map<std::string, std::size_t> reached;
  for (const auto& [address, way] : detour_to(addresses, in.facts.routes).routes) {
    const auto overlay = std::ranges::find(in.facts.overlays, way.ifindex, &OverlayDevice::ifindex);
    if (overlay != in.facts.overlays.end()) ++reached[overlay->name];
    const auto uplink = std::ranges::find(in.facts.uplinks, way.ifindex, &Uplink::ifindex);
    if (uplink != in.facts.uplinks.end()) ++reached[uplink->name];
  }
  const auto most = std::ranges::max_element(reached, {}, [](const auto& entry) { return entry.second; });
  return most == reached.end() ? in.facts.uplinks.front().name : most->first;
}

std::string node_uplink(const Inputs& in) {
  std::set<IpAddress> nodes;
  for (const auto* peer : peers_of(in)) nodes.insert(peer->node_ips.begin(), peer->node_ips.end());
  return way_to(nodes, in);
}

std::string pod_uplink(const Inputs& in) {
  if (has_overlay(in)) return kOverlayDevice;
  std::set<IpAddress> pods;
  for (const auto* peer : peers_of(in)) {
    for (const auto& cidr : peer->pod_cidrs) pods.insert(cidr.address);
  }
  return way_to(pods, in);
}

ProgramSettings settings_of(const Inputs& in, Program program, std::uint8_t l2_len) {
  ProgramSettings settings;
  if (const auto build = in.facts.builds.find(program); build != in.facts.builds.end()) settings.build = build->second;
  settings.tunnel = TunnelReference::kTunnel;
  settings.engine = is_ipsec(in) ? Engine::kIpsec : Engine::kWireguard;
  if (!is_ipsec(in)) settings.wireguard_port = in.config.wireguard.listen_port;
  if (has_overlay(in)) settings.vxlan_port = kVxlanPort;
  settings.l2_len = l2_len;
  settings.strict = in.config.mode == state::Mode::kStrict;
  settings.trace = in.facts.trace;
  if (in.config.node_encryption) {
    settings.node_encryption = state::is_opted_out(in.config, own_node(in)) ? SHEATH_NODE_ENCRYPTION_opted_out
                                                                            : SHEATH_NODE_ENCRYPTION_enabled;
  }
  return settings;
}

ProgramSettings tunnel_ingress_settings(const Inputs& in) {
  // What comes out of cilium_xfrm0 still has the Ethernet header that the outer packet came with.
  auto settings = settings_of(in, SHEATH_DIRECTION_tunnel_ingress, is_ipsec(in) ? kEthernetHeader : kNoHeader);
  settings.fast_path = in.config.fast_path;
  // What IPsec decrypted is spared by the reverse path filter.
  settings.via_uplink = !is_ipsec(in) && via_uplink(in);
  if (!settings.via_uplink) return settings;
  settings.uplink = node_uplink(in);
  settings.pod_uplink = pod_uplink(in);
  return settings;
}

void add_uplink_programs(const Inputs& in, const std::string& device, std::uint8_t l2_len, Desired& desired) {
  for (const auto program : {SHEATH_DIRECTION_uplink_egress, SHEATH_DIRECTION_uplink_ingress}) {
    desired.programs[{program, device}] = settings_of(in, program, l2_len);
  }
}

// A device that is down carries nothing; one that was up before may be up again at any time.
bool is_to_be_covered(const Inputs& in, const OverlayDevice& overlay) {
  return overlay.up || in.actual.programs.contains({SHEATH_DIRECTION_uplink_egress, overlay.name});
}

void add_programs(const Inputs& in, Desired& desired) {
  for (const auto& uplink : in.facts.uplinks) {
    add_uplink_programs(in, uplink.name, uplink.l2_len, desired);
  }
  for (const auto& overlay : in.facts.overlays) {
    if (is_to_be_covered(in, overlay)) add_uplink_programs(in, overlay.name, overlay.l2_len, desired);
  }
  if (desired.overlay) {
    for (const auto program : {SHEATH_DIRECTION_overlay_egress, SHEATH_DIRECTION_uplink_ingress}) {
      auto settings = settings_of(in, program, kEthernetHeader);
      settings.overlay = true;
      desired.programs[{program, kOverlayDevice}] = settings;
    }
  }
  desired.programs[{SHEATH_DIRECTION_tunnel_ingress, is_ipsec(in) ? kXfrmDevice : kWireguardDevice}] =
      tunnel_ingress_settings(in);
  if (!in.config.fast_path) return;
  for (const auto& [address, pod] : in.facts.pods) {
    auto settings = settings_of(in, SHEATH_DIRECTION_pod_egress, kEthernetHeader);
    settings.fast_path = true;
    desired.programs[{SHEATH_DIRECTION_pod_egress, pod.device}] = settings;
    desired.maps.endpoints[address] = pod.entry;
  }
}

// The same for all programs.
Result<> add_lengths(const Inputs& in, Desired& desired) {
  std::vector<Cidr> prefixes;
  for (const auto& [cidr, owner] : desired.maps.pod_cidrs) prefixes.push_back(cidr);
  const auto lengths = maps::lengths_of(prefixes, in.config.cluster_pod_cidrs);
  if (maps::more_than(kMaxLengths, lengths)) {
    return fail(Error::misuse("nodes: the pod CIDRs of a family have more than " + std::to_string(kMaxLengths) +
                              " different lengths"));
  }
  for (auto& [where, settings] : desired.programs) settings.lengths = lengths;
  return {};
}

// Before anything is changed: what the maps cannot hold.
Result<> check_sizes(const Maps& maps) {
  const auto cidrs = [&](Family family) {
    return std::ranges::count_if(maps.pod_cidrs,
                                 [&](const auto& entry) { return entry.first.address.family == family; });
  };
  const auto check = [](std::ptrdiff_t count, const char* what) -> Result<> {
    if (count <= SHEATH_MAX_CIDRS) return {};
    return fail(Error::misuse("nodes: the cluster has " + std::to_string(count) + " " + what + ", and the maps hold " +
                              std::to_string(SHEATH_MAX_CIDRS)));
  };
  if (auto done = check(cidrs(Family::kIpv4), "IPv4 pod CIDRs"); !done) return done;
  if (auto done = check(cidrs(Family::kIpv6), "IPv6 pod CIDRs"); !done) return done;
  return check(std::ssize(maps.node_ips), "node IPs");
}

// What goes to and comes from the peers where plaintext is refused.
BackstopNodes backstop_nodes(const Inputs& in, const Peers& peers, const NodeTraffic& traffic) {
  BackstopNodes out;
  for (const auto* peer : peers) {
    if (traffic.levels.at(peer->name) != SHEATH_NODE_TRAFFIC_required) continue;
    out.peers.insert(peer->node_ips.begin(), peer->node_ips.end());
    out.pods.insert(peer->pod_cidrs.begin(), peer->pod_cidrs.end());
  }
  if (out.peers.empty()) return {};
  out.own.insert(own_node(in).node_ips.begin(), own_node(in).node_ips.end());
  out.outer_mark = SHEATH_MARK_ENCRYPT;
  if (!is_ipsec(in)) out.wireguard_port = in.config.wireguard.listen_port;
  if (has_overlay(in)) out.vxlan_port = kVxlanPort;
  return out;
}

void add_backstop(const Inputs& in, const Peers& peers, const NodeTraffic& traffic, Desired& desired) {
  auto nodes = backstop_nodes(in, peers, traffic);
  if (!in.config.backstop || (in.config.cluster_pod_cidrs.empty() && nodes.peers.empty())) return;
  if (!in.facts.has_nf_tables) {
    desired.warnings.emplace_back(
        "this kernel has no nf_tables: a device that comes later is not closed before apply runs again");
    return;
  }
  Backstop backstop;
  backstop.drops = in.config.mode == state::Mode::kStrict;
  for (const auto& uplink : in.facts.uplinks) backstop.watched[uplink.ifindex] = uplink.name;
  for (const auto& overlay : in.facts.overlays) {
    if (is_to_be_covered(in, overlay)) backstop.watched[overlay.ifindex] = overlay.name;
  }
  backstop.own = {"lo", is_ipsec(in) ? kXfrmDevice : kWireguardDevice};
  if (desired.overlay) backstop.own.insert(kOverlayDevice);
  backstop.cluster.insert(in.config.cluster_pod_cidrs.begin(), in.config.cluster_pod_cidrs.end());
  backstop.local.insert(own_node(in).pod_cidrs.begin(), own_node(in).pod_cidrs.end());
  backstop.nodes = std::move(nodes);
  desired.backstop = std::move(backstop);
}

NodeTrafficView node_traffic_view(const Inputs& in, const Peers& peers, const NodeIds& ids) {
  NodeTrafficView view;
  view.opted_out = state::is_opted_out(in.config, own_node(in));
  view.on = in.config.node_encryption && !view.opted_out;
  view.published = in.says_it_encrypts;
  for (const auto* peer : peers) {
    auto& seen = view.peers[peer->name];
    seen.opted_out = state::is_opted_out(in.config, *peer);
    seen.published = peer->node_encryption.value_or(false);
    const auto entry = in.actual.maps.peers.find(ids.at(peer->name));
    if (entry != in.actual.maps.peers.end()) seen.level = entry->second.node_traffic;
  }
  return view;
}

// Before IPsec's policies, which follow from it.
NodeTraffic add_node_traffic(const Inputs& in, const Peers& peers, const NodeIds& ids, Desired& desired) {
  auto traffic = decide_node_traffic(node_traffic_view(in, peers, ids));
  std::set<IpAddress> addresses;
  for (const auto* peer : peers) {
    const auto level = traffic.levels.at(peer->name);
    desired.maps.peers[ids.at(peer->name)].node_traffic = level;
    if (level != SHEATH_NODE_TRAFFIC_plain) addresses.insert(peer->node_ips.begin(), peer->node_ips.end());
  }
  desired.detour = detour_to(addresses, in.facts.routes);
  desired.node_traffic_pending = traffic.pending;
  if (traffic.publish) desired.publication = in.publication_encrypting;
  return traffic;
}

void add_warnings(const Inputs& in, Desired& desired) {
  if (desired.tunnel && in.config.delivery == state::Delivery::kStack && in.facts.all_rp_filter != 0) {
    desired.warnings.push_back("net.ipv4.conf.all.rp_filter is " + std::to_string(in.facts.all_rp_filter) +
                               ": with delivery stack the kernel drops decrypted IPv4 packets");
  }
}

Result<> add_devices(const Inputs& in, const Peers& peers, Desired& desired) {
  if (is_ipsec(in)) {
    auto ipsec = ipsec_engine_of(in);
    if (!ipsec) return fail(std::move(ipsec.error()));
    desired.ipsec = std::move(*ipsec);
  } else {
    auto tunnel = tunnel_of(in);
    if (!tunnel) return fail(std::move(tunnel.error()));
    desired.tunnel = std::move(*tunnel);
  }
  if (!has_overlay(in)) return {};
  auto overlay = overlay_of(in, peers);
  if (!overlay) return fail(std::move(overlay.error()));
  desired.overlay = std::move(*overlay);
  return {};
}

bool carries_ipv6(const Inputs& in) {
  const auto& own = own_node(in);
  if (std::ranges::any_of(own.pod_cidrs, [](const Cidr& c) { return c.address.family == Family::kIpv6; })) return true;
  return in.config.node_encryption &&
         std::ranges::any_of(own.node_ips, [](const IpAddress& a) { return a.family == Family::kIpv6; });
}

// IPv6 has no link below 1280 (RFC 8200, section 5). What an underlay cannot carry in one piece WireGuard carries in
// two; the kernel's xfrm refuses to (ip6_fragment: IPv6 packets in transit are not fragmented, nor are they after ESP).
// IPv4 is held to what fits.
Result<> make_room_for_ipv6(const Inputs& in, Desired& desired) {
  if (!carries_ipv6(in)) return {};
  const auto fits = desired.tunnel ? desired.tunnel->mtu : desired.ipsec->mtu;
  if (fits >= kSmallestIpv6Mtu) return {};
  if (desired.ipsec) {
    return fail(Error::misuse("devices: the underlay leaves " + std::to_string(fits) +
                              " bytes for a packet inside ESP, and IPv6 needs 1280")
                    .hint("WireGuard carries it in fragments; or use a larger MTU, or IPv4 alone"));
  }
  desired.warnings.push_back("the underlay leaves " + std::to_string(fits) +
                             " bytes for a packet, and IPv6 needs 1280: its outer packets will be fragmented");
  desired.tunnel->mtu = kSmallestIpv6Mtu;
  desired.ipv4_mtu = fits;
  if (desired.overlay) desired.overlay->mtu = std::max(desired.overlay->mtu, kSmallestIpv6Mtu);
  return {};
}

// Who sends through a program: the pod behind a pod's device, else all pods of this node.
std::set<Cidr> senders_of(const Inputs& in, const Attachment& where) {
  if (where.program != SHEATH_DIRECTION_pod_egress) {
    const auto& pods = own_node(in).pod_cidrs;
    return maps::own_pods_of({pods.begin(), pods.end()});
  }
  std::set<Cidr> addresses;
  for (const auto& [address, pod] : in.facts.pods) {
    if (pod.device == where.device) addresses.insert(Cidr::host(address));
  }
  return maps::own_pods_of(addresses);
}

// What programs need not look up.
void add_constants(const Inputs& in, Desired& desired) {
  const auto mtu = desired.tunnel ? desired.tunnel->mtu : desired.ipsec->mtu;
  for (auto& [where, settings] : desired.programs) {
    settings.ipv4_mtu = static_cast<std::uint16_t>(desired.ipv4_mtu);
    settings.tunnel_mtu = static_cast<std::uint16_t>(std::min<std::uint32_t>(mtu, UINT16_MAX));
    settings.own_pods = senders_of(in, where);
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
  if (auto done = add_devices(in, peers_of(in), desired); !done) return fail(std::move(done.error()));
  if (auto done = make_room_for_ipv6(in, desired); !done) return fail(std::move(done.error()));

  const auto peers = peers_of(in);
  const auto ids = assign_node_ids(peers, in.actual.maps, in.ids_in_use);
  if (!ids) return fail(ids.error());
  for (const auto* peer : peers) add_peer(in, *peer, ids->at(peer->name), desired);
  const auto traffic = add_node_traffic(in, peers, *ids, desired);
  if (desired.ipsec) add_ipsec(in, peers, *ids, traffic, desired);
  add_owners(own_node(in), {SHEATH_KIND_local, 0}, desired.maps);
  for (const auto& address : own_node(in).router_ips) desired.maps.node_ips[address] = {SHEATH_KIND_local, 0};
  add_cluster_range(in, desired);
  if (auto done = check_sizes(desired.maps); !done) return fail(std::move(done.error()));
  add_programs(in, desired);
  if (auto done = add_lengths(in, desired); !done) return fail(std::move(done.error()));
  add_constants(in, desired);
  add_backstop(in, peers, traffic, desired);
  add_warnings(in, desired);
  return desired;
}

}  // namespace sheath::plan
