// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/status.hpp"

#include <linux/netlink.h>

#include <algorithm>
#include <set>

#include "loader/engine/facts.hpp"
#include "loader/engine/observe.hpp"
#include "loader/engine/preflight.hpp"
#include "loader/engine/problems.hpp"
#include "loader/netlink/nftables.hpp"
#include "loader/state/node_source.hpp"
#include "maps/marks.h"
#include "maps/names.hpp"

namespace sheath::engine {
namespace {

// Node names by node IP, as far as the node objects can be read: status has to work without them.
std::map<IpAddress, std::string> node_names(const state::Config& config) {
  std::map<IpAddress, std::string> names;
  const auto source = state::make_node_source(config);
  if (!source) return names;
  const auto objects = (*source)->read();
  if (!objects) return names;
  for (const auto& object : *objects) {
    for (const auto& address : object.node.node_ips) names.emplace(address, object.node.name);
  }
  return names;
}

void add_programs(const Observation& seen, Status& status) {
  std::set<bool> modes;
  for (const auto& attached : seen.attached) {
    const auto& settings = seen.actual.programs.at(to_attachment(attached.place));
    status.programs.push_back({std::string(maps::direction_name(attached.place.program)), attached.place.device,
                               bpf::hook_name(attached.hook), attached.program_id, settings.strict, settings.tunnel,
                               settings.fast_path, settings.via_uplink});
    status.node_encryption = std::max(status.node_encryption, settings.node_encryption);
    if (attached.place.program == SHEATH_DIRECTION_uplink_egress) modes.insert(settings.strict);
  }
  if (modes.size() == 1) status.strict = *modes.begin();
}

void add_xfrm(const Observation& seen, Status& status) {
  const auto& ipsec = seen.actual.ipsec;
  if (!ipsec.device) return;
  XfrmStatus xfrm{plan::kXfrmDevice, seen.xfrm_ifindex, ipsec.device->mtu, ipsec.device->up, {}, {}, 0};
  std::set<std::uint16_t> peers;
  for (std::size_t i = 0; i < ipsec.states.size(); ++i) {
    xfrm.key_ids.insert(ipsec.states[i].state.generation);
    peers.insert(ipsec.states[i].state.node_id);
    const auto& algorithms = seen.esp_states[i].state.algorithms;
    xfrm.algorithm =
        algorithms.aead.empty() ? algorithms.authentication + " " + algorithms.encryption : algorithms.aead;
  }
  xfrm.peers = peers.size();
  status.xfrm = std::move(xfrm);
}

void add_tunnel(const Observation& seen, Status& status) {
  if (!seen.tunnel) return;
  const auto& [link, device] = *seen.tunnel;
  status.tunnel = {link.name,    link.ifindex,       link.mtu,      link.up,
                   std::nullopt, device.listen_port, device.fwmark, device.peers.size()};
  if (device.public_key) status.tunnel->public_key = keys::PublicKey{*device.public_key};
}

std::map<std::uint16_t, PeerStatus> peers_by_id(const plan::Maps& maps) {
  std::map<std::uint16_t, PeerStatus> peers;
  for (const auto& [id, entry] : maps.peers) {
    peers[id].ready = entry.ready;
    peers[id].key_id = static_cast<std::uint8_t>((entry.tx_mark & SHEATH_MARK_KEY_MASK) >> SHEATH_MARK_KEY_SHIFT);
  }
  for (const auto& [address, owner] : maps.node_ips) {
    if (owner.kind == SHEATH_KIND_remote) peers[owner.node_id].node_ips.push_back(address);
  }
  for (const auto& [cidr, owner] : maps.pod_cidrs) {
    if (owner.kind == SHEATH_KIND_remote) peers[owner.node_id].pod_cidrs.push_back(cidr);
  }
  for (auto& [id, peer] : peers) peer.node_id = id;
  return peers;
}

// The tunnel's peers by the prefixes they hold.
std::map<Cidr, const netlink::WireGuardPeer*> holders(const Observation& seen) {
  std::map<Cidr, const netlink::WireGuardPeer*> out;
  if (!seen.tunnel) return out;
  for (const auto& peer : seen.tunnel->wireguard.peers) {
    for (const auto& cidr : peer.allowed_ips) out.emplace(cidr, &peer);
  }
  return out;
}

void add_tunnel_peer(const std::map<Cidr, const netlink::WireGuardPeer*>& by_cidr, PeerStatus& peer) {
  for (const auto& cidr : peer.pod_cidrs) {
    const auto holder = by_cidr.find(cidr);
    if (holder == by_cidr.end()) continue;
    const auto& found = *holder->second;
    peer.public_key = keys::PublicKey{found.public_key};
    peer.endpoint = found.endpoint;
    peer.last_handshake_seconds = found.last_handshake_seconds;
    peer.rx_bytes = found.rx_bytes;
    peer.tx_bytes = found.tx_bytes;
    return;
  }
}

// Bytes and packets of its states, all keys together; they are the inner ones.
void add_esp_states(const Observation& seen, PeerStatus& peer) {
  for (std::size_t i = 0; i < seen.esp_states.size(); ++i) {
    const auto& state = seen.actual.ipsec.states[i].state;
    if (state.node_id != peer.node_id) continue;
    const auto& report = seen.esp_states[i];
    const bool transmit = state.use == plan::StateUse::kTransmit;
    (transmit ? peer.tx_bytes : peer.rx_bytes) += report.bytes;
    peer.esp_states += 1;
    peer.esp_peer = state.ends.peer;
    if (!transmit)
      peer.last_received_seconds = std::max(peer.last_received_seconds, static_cast<std::int64_t>(report.use_time));
  }
}

void add_peers(const Observation& seen, const std::map<IpAddress, std::string>& names, Status& status) {
  const auto by_cidr = holders(seen);
  for (auto& [id, peer] : peers_by_id(seen.actual.maps)) {
    for (const auto& address : peer.node_ips) {
      if (const auto name = names.find(address); name != names.end()) peer.name = name->second;
    }
    add_tunnel_peer(by_cidr, peer);
    add_esp_states(seen, peer);
    status.peers.push_back(std::move(peer));
  }
}

void add_own(const Observation& seen, Status& status) {
  for (const auto& [address, owner] : seen.actual.maps.node_ips) {
    if (owner.kind == SHEATH_KIND_local) status.node_ips.push_back(address);
  }
  for (const auto& [cidr, owner] : seen.actual.maps.pod_cidrs) {
    if (owner.kind == SHEATH_KIND_local) status.pod_cidrs.push_back(cidr);
    if (owner.kind == SHEATH_KIND_cluster) status.cluster_cidrs.push_back(cidr);
  }
  for (const auto& [address, entry] : seen.actual.maps.endpoints) {
    const auto device = seen.devices.find(entry.ifindex);
    status.endpoints.push_back(
        {address, entry.ifindex, device == seen.devices.end() ? "" : device->second, entry.pod_mac});
  }
}

// As the programs that are there say, and the configuration does not forbid.
Result<> add_backstop(const Observation& seen, const state::Config& config, Status& status) {
  status.backstop = seen.backstop;
  const bool nodes_too = std::ranges::any_of(seen.actual.maps.peers, [](const auto& entry) {
    return entry.second.node_traffic == SHEATH_NODE_TRAFFIC_required;
  });
  if (!config.backstop || !status.strict || (status.cluster_cidrs.empty() && !nodes_too)) return {};
  const auto possible = netlink::has_nf_tables();
  if (!possible) return fail(possible.error());
  status.backstop_expected = *possible;
  return {};
}

WithheldStatus to_status(const sheath_withheld_key& key, const sheath_withheld& value, const Status& status) {
  const auto peer = std::ranges::find(status.peers, key.node_id, &PeerStatus::node_id);
  const std::chrono::nanoseconds last{static_cast<std::int64_t>(value.last_ns)};
  const auto age = std::chrono::steady_clock::now().time_since_epoch() - last;
  return {static_cast<sheath_direction>(key.direction),
          static_cast<sheath_reason>(key.reason),
          key.dropped != 0,
          key.node_id,
          peer == status.peers.end() ? "" : peer->name,
          value.packets,
          value.bytes,
          std::chrono::duration_cast<std::chrono::seconds>(age)};
}

Result<> add_counts(const state::Config& config, Status& status) {
  const auto maps = bpf::PinnedMaps::open(config.paths.bpffs, bpf::Access::kRead);
  if (!maps) return fail(maps.error());
  if (!*maps) return {};
  auto metrics = (*maps)->metrics();
  if (!metrics) return fail(std::move(metrics.error()));
  status.metrics = *metrics;
  const auto withheld = (*maps)->withheld();
  if (!withheld) return fail(withheld.error());
  for (const auto& [key, value] : *withheld) status.withheld.push_back(to_status(key, value, status));
  return {};
}

// The uplinks that the configuration asks for, and overlays that are up; none where it cannot be told.
std::vector<std::string> expected_uplinks(netlink::Socket& socket, const state::Config& config) {
  std::vector<std::string> names;
  if (const auto links = find_uplinks(socket, config)) {
    for (const auto& link : *links) names.push_back(link.name);
  }
  if (const auto links = find_overlays(socket, config)) {
    for (const auto& link : *links) {
      if (link.up) names.push_back(link.name);
    }
  }
  return names;
}

}  // namespace

const char* peer_state(const Status& status, const PeerStatus& peer) {
  if (peer.ready) return "ready";
  if (status.xfrm || !peer.public_key) return "no key";
  return peer.endpoint ? "no handshake" : "no address";
}

Result<Status> observe_status(const state::Config& config) {
  if (auto allowed = check_privileges(); !allowed) return fail(std::move(allowed.error()));
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  if (!socket) return fail(std::move(socket.error()));
  const auto seen = observe(*socket, {config.paths.bpffs, config.paths.run, {}});
  if (!seen) return fail(seen.error());

  Status status;
  status.pins = seen->actual.pins;
  status.bpffs = config.paths.bpffs.string();
  status.installed =
      status.pins != plan::Pins::kNone || seen->tunnel || seen->actual.ipsec.device || !seen->attached.empty();
  add_programs(*seen, status);
  add_tunnel(*seen, status);
  add_xfrm(*seen, status);
  add_own(*seen, status);
  add_peers(*seen, node_names(config), status);
  if (auto done = add_backstop(*seen, config, status); !done) return fail(std::move(done.error()));
  if (auto done = add_counts(config, status); !done) return fail(std::move(done.error()));
  if (status.installed) status.problems = find_problems(status, expected_uplinks(*socket, config));
  return status;
}

}  // namespace sheath::engine
