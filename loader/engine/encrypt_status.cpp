// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/encrypt_status.hpp"

#include <linux/netlink.h>

#include <algorithm>
#include <map>

#include "loader/engine/engine.hpp"
#include "loader/engine/ipsec_material.hpp"
#include "loader/engine/observe.hpp"
#include "loader/engine/preflight.hpp"
#include "maps/marks.h"

namespace sheath::engine {
namespace {

using Bits = std::uint16_t;

std::vector<std::uint8_t> generations_of(Bits bits) {
  std::vector<std::uint8_t> out;
  for (std::uint8_t id = 1; id <= plan::kGenerations; ++id) {
    if ((bits >> id & 1) != 0) out.push_back(id);
  }
  return out;
}

std::uint8_t sends_on(const plan::PeerEntry& entry) {
  return entry.ready ? static_cast<std::uint8_t>((entry.tx_mark & SHEATH_MARK_KEY_MASK) >> SHEATH_MARK_KEY_SHIFT) : 0;
}

void add_states(const Observation& seen, EncryptStatus& status, std::map<std::uint16_t, PeerKeys>& peers) {
  std::map<std::uint8_t, KeyInUse> keys;
  std::map<std::uint16_t, Bits> receive;
  for (std::size_t i = 0; i < seen.esp_states.size(); ++i) {
    const auto& state = seen.actual.ipsec.states[i].state;
    const auto& report = seen.esp_states[i];
    auto& key = keys[state.generation];
    auto& peer = peers[state.node_id];
    key.id = state.generation;
    if (state.use == plan::StateUse::kTransmit) {
      ++key.transmit_states;
      peer.sent_sequence = std::max(peer.sent_sequence, report.sent_sequence);
      status.max_sequence = std::max(status.max_sequence, report.sent_sequence);
    } else {
      ++key.receive_states;
      receive[state.node_id] |= static_cast<Bits>(1u << state.generation);
      peer.received_sequence = std::max(peer.received_sequence, report.received_sequence);
    }
  }
  for (const auto& [id, entry] : seen.actual.maps.peers) {
    if (const auto generation = sends_on(entry); generation != 0 && keys.contains(generation)) {
      ++keys[generation].peers_sent_to;
    }
  }
  for (const auto& [id, bits] : receive) peers[id].receives_on = generations_of(bits);
  for (const auto& [id, key] : keys) status.keys.push_back(key);
}

void add_maps(const plan::Maps& maps, std::map<std::uint16_t, PeerKeys>& peers) {
  for (const auto& [id, entry] : maps.peers) peers[id].sends_on = sends_on(entry);
  for (const auto& [id, heard] : maps.heard) {
    if (peers.contains(id)) peers[id].heard_on = generations_of(heard.keys);
  }
}

// What only the run directory, the key file and the node objects know; none of it is needed for the rest.
void add_material(const state::Config& config, EncryptStatus& status) {
  const auto material = IpsecMaterial::load(config);
  if (!material) {
    status.warnings.push_back(material.error().what());
    return;
  }
  status.algorithm = material->file_key().algorithm().text();
  status.key_file_id = material->file_key().id();
  status.key_file_fingerprint = material->file_key().fingerprint().value_or("");
  for (auto& key : status.keys) {
    const auto session = material->sessions().find(key.id);
    if (session == material->sessions().end()) continue;
    key.age = std::chrono::duration_cast<std::chrono::seconds>(boot_time() - session->second.drawn_at());
    key.key_file_id = session->second.psk().id();
  }
}

void add_rotation(const state::Config& config, EncryptStatus& status, std::map<std::uint16_t, PeerKeys>& peers) {
  const auto ipsec = rotation_state(config);
  if (!ipsec) {
    status.warnings.push_back(ipsec.error().what());
    return;
  }
  status.waits = ipsec->rotation.waits;
  for (const auto& [name, rotation] : ipsec->rotation.peers) {
    auto& peer = peers[ipsec->peers.at(name).node_id];
    peer.name = name;
    peer.phase = rotation.phase;
    peer.next = rotation.next;
  }
}

Result<> add_errors(EncryptStatus& status) {
  const auto counters = netlink::read_xfrm_stat();
  if (!counters) return fail(counters.error());
  for (const auto& [name, count] : *counters) {
    if (count != 0) status.errors[name] = count;
  }
  return {};
}

}  // namespace

Result<EncryptStatus> encrypt_status(const state::Config& config) {
  if (auto allowed = check_privileges(); !allowed) return fail(std::move(allowed.error()));
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  if (!socket) return fail(std::move(socket.error()));
  const auto seen = observe(*socket, {config.paths.bpffs, config.paths.run, {}});
  if (!seen) return fail(seen.error());

  EncryptStatus status;
  status.ipsec = seen->actual.ipsec.device.has_value();
  status.wireguard = seen->tunnel.has_value();
  if (!status.ipsec) return status;
  std::map<std::uint16_t, PeerKeys> peers;
  add_states(*seen, status, peers);
  add_maps(seen->actual.maps, peers);
  add_material(config, status);
  add_rotation(config, status, peers);
  if (auto done = add_errors(status); !done) return fail(std::move(done.error()));
  for (auto& [id, peer] : peers) {
    peer.node_id = id;
    status.peers.push_back(std::move(peer));
  }
  return status;
}

}  // namespace sheath::engine
