// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/desired.hpp"

#include <algorithm>

#include "loader/plan/desired_parts.hpp"
#include "loader/plan/detour.hpp"
#include "loader/plan/node_ids.hpp"
#include "loader/plan/node_traffic.hpp"
#include "loader/state/opt_out.hpp"
#include "maps/marks.h"

namespace sheath::plan {
namespace {

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
  backstop.own = {is_ipsec(in) ? kXfrmDevice : kWireguardDevice};
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

}  // namespace

Result<Desired> build_desired(const Inputs& in) {
  Desired desired;
  desired.publication = in.publication;
  if (in.config.encryption == state::Encryption::kNone) return desired;

  if (!in.cluster.contains(in.config.node_name)) {
    return fail(Error::misuse("nodeName: the cluster has no node " + in.config.node_name));
  }
  if (auto done = add_devices(in, peers_of(in), desired); !done) return fail(std::move(done.error()));

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
  if (auto done = add_programs(in, desired); !done) return fail(std::move(done.error()));
  add_backstop(in, peers, traffic, desired);
  add_warnings(in, desired);
  return desired;
}

}  // namespace sheath::plan
