// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/ipsec_desired.hpp"

#include <algorithm>

#include "loader/keys/session.hpp"
#include "loader/plan/ipsec_plan.hpp"
#include "loader/plan/ipsec_seen.hpp"
#include "maps/marks.h"

namespace sheath::plan {
namespace {

// With ESN the kernel counts to 2^64 - 1 and then refuses (RFC 4304); there is all the time in the world from here.
constexpr std::uint64_t kSequenceHigh = std::uint64_t{1} << 63;
constexpr std::uint32_t kTagShift = 4;

std::set<std::pair<Cidr, Cidr>> selectors_of(const std::vector<Cidr>& own, const std::vector<Cidr>& peer) {
  std::set<std::pair<Cidr, Cidr>> out;
  for (const auto& from : own) {
    for (const auto& to : peer) {
      if (from.address.family == to.address.family) out.emplace(from, to);
    }
  }
  return out;
}

// What a node may send from or be sent to.
std::vector<Cidr> prefixes_of(const state::Node& node, bool nodes_too) {
  auto out = node.pod_cidrs;
  if (!nodes_too) return out;
  for (const auto& address : node.node_ips) out.push_back(Cidr::host(address));
  return out;
}

IpsecPeer make_peer(const state::Node& own, const IpsecPeerInput& input) {
  const auto selectors = selectors_of(prefixes_of(own, input.nodes_too), prefixes_of(*input.node, input.nodes_too));
  IpsecPeer peer{input.node_id, input.ends, selectors, {}, false};
  for (const auto& session : input.node->ipsec_sessions) {
    peer.sessions[session.generation] = {session.generation, session.public_key, session.tag, session.psk_id};
  }
  return peer;
}

// Peers that are in the kernel only.
void add_departed(const IpsecActual& actual, Ipsec& ipsec) {
  std::set<std::uint16_t> known;
  for (const auto& [name, peer] : ipsec.peers) known.insert(peer.node_id);
  std::set<std::uint16_t> seen;
  for (const auto& state : actual.states) seen.insert(state.state.node_id);
  for (const auto& policy : actual.policies) seen.insert(policy.node_id);
  for (const auto id : seen) {
    if (known.contains(id)) continue;
    // No node may be called so: names have no blanks.
    auto& peer = ipsec.peers["node " + std::to_string(id)];
    peer.node_id = id;
    peer.departed = true;
  }
}

class ViewBuilder {
 public:
  ViewBuilder(const IpsecInputs& inputs, const IpsecActual& actual, const Maps& maps, const Ipsec& ipsec)
      : inputs_(inputs), actual_(actual), seen_(actual), maps_(maps), ipsec_(ipsec) {}

  PeerView view_of(const std::string& name, const IpsecPeer& peer) const {
    PeerView view;
    if (peer.ends) {
      for (const auto& [generation, session] : peer.sessions) view.sessions.push_back(session);
    }
    add_states(name, peer, view);
    add_policies(name, peer, view);
    add_record(name, view);
    if (const auto heard = maps_.heard.find(peer.node_id); heard != maps_.heard.end()) {
      view.heard_keys = heard->second.keys;
      view.heard_uses = heard->second.uses;
    }
    if (const auto entry = maps_.peers.find(peer.node_id); entry != maps_.peers.end() && entry->second.ready) {
      view.in_use = static_cast<std::uint8_t>(entry->second.tx_mark >> SHEATH_MARK_KEY_SHIFT & 0xf);
    }
    return view;
  }

 private:
  void add_states(const std::string& name, const IpsecPeer& peer, PeerView& view) const {
    for (const auto* seen : seen_.states(peer.node_id)) {
      const auto& [use, node_id, generation, ends, spi] = seen->state;
      const bool transmit = use == StateUse::kTransmit;
      InstalledState state{generation, spi >> kTagShift, session_behind(name, peer, *seen)};
      (transmit ? view.transmit : view.receive).push_back(state);
      view.moved = view.moved || (peer.ends && ends != *peer.ends && ends.own == peer.ends->own);
      view.sequence_high = view.sequence_high || (transmit && seen->sequence >= kSequenceHigh);
    }
  }

  // The peer's session that, with ours, gives the state's key, between the ends that it should have.
  std::optional<keys::PublicKey> session_behind(const std::string& name, const IpsecPeer& peer,
                                                const SeenState& seen) const {
    const auto generation = seen.state.generation;
    const auto session = peer.sessions.find(generation);
    const auto own = ipsec_.sessions.find(generation);
    if (session == peer.sessions.end() || own == ipsec_.sessions.end() || seen.state.ends != peer.ends) {
      return std::nullopt;
    }
    const bool transmit = seen.state.use == StateUse::kTransmit;
    const auto tag = transmit ? own->second.tag : session->second.tag;
    const auto& key = session->second.public_key;
    const bool is_it = seen.digest ? has_digest(name, seen) : is_recorded(name, generation, key);
    return is_it && seen.state.spi == keys::spi_of(tag, generation) ? std::optional(key) : std::nullopt;
  }

  bool has_digest(const std::string& name, const SeenState& seen) const {
    const auto digests = inputs_.digests.find({name, seen.state.generation});
    if (digests == inputs_.digests.end()) return false;
    const bool transmit = seen.state.use == StateUse::kTransmit;
    return *seen.digest == (transmit ? digests->second.transmit : digests->second.receive);
  }

  // Where the kernel shows no keys, the record says it: a pair's states are made before it is written.
  bool is_recorded(const std::string& name, std::uint8_t generation, const keys::PublicKey& key) const {
    const auto peers = inputs_.recorded.find(generation);
    if (peers == inputs_.recorded.end()) return false;
    const auto found = peers->second.find(name);
    return found != peers->second.end() && found->second == key;
  }

  void add_policies(const std::string& name, const IpsecPeer& peer, PeerView& view) const {
    std::set<std::uint8_t> generations;
    for (const auto* policy : seen_.policies(peer.node_id)) generations.insert(policy->generation);
    for (const auto generation : generations) {
      const auto wanted = policies_of(ipsec_, name, generation);
      const auto is_there = [&](const EspPolicy& policy) { return actual_.policies.contains(policy); };
      const bool complete = !wanted.empty() && std::ranges::all_of(wanted, is_there);
      view.policies.push_back({generation, complete});
    }
  }

  void add_record(const std::string& name, PeerView& view) const {
    for (const auto& [generation, peers] : inputs_.recorded) {
      if (const auto found = peers.find(name); found != peers.end()) {
        view.recorded.push_back({generation, found->second});
      }
    }
  }

  const IpsecInputs& inputs_;
  const IpsecActual& actual_;
  SeenByPeer seen_;
  const Maps& maps_;
  const Ipsec& ipsec_;
};

}  // namespace

std::optional<TunnelEnds> common_ends(const std::vector<IpAddress>& own, const std::vector<IpAddress>& peer) {
  for (const auto family : {Family::kIpv4, Family::kIpv6}) {
    const auto matches = [&](const IpAddress& address) { return address.family == family; };
    const auto from = std::ranges::find_if(own, matches);
    const auto to = std::ranges::find_if(peer, matches);
    if (from != own.end() && to != peer.end()) return TunnelEnds{*from, *to};
  }
  return std::nullopt;
}

Ipsec ipsec_of(const state::Node& own, const std::vector<OwnSession>& sessions,
               const std::vector<IpsecPeerInput>& peers) {
  Ipsec ipsec;
  for (const auto& session : sessions) ipsec.sessions[session.generation] = session;
  for (const auto& input : peers) ipsec.peers[input.node->name] = make_peer(own, input);
  return ipsec;
}

Ipsec build_ipsec(const state::Node& own, const IpsecInputs& inputs, const std::vector<IpsecPeerInput>& peers,
                  const IpsecActual& actual, const Maps& maps) {
  auto ipsec = ipsec_of(own, inputs.sessions, peers);
  RotationView view;
  view.name = own.name;
  view.sessions = inputs.sessions;
  view.file_key_id = inputs.file_key_id;
  view.held_psk_ids = inputs.held_psk_ids;
  view.now = inputs.now;
  view.timing = inputs.timing;
  add_departed(actual, ipsec);

  const ViewBuilder builder(inputs, actual, maps, ipsec);
  for (const auto& [name, peer] : ipsec.peers) view.peers[name] = builder.view_of(name, peer);
  for (const auto& input : peers) view.peers[input.node->name].key_id = input.node->ipsec_key_id;
  ipsec.rotation = decide_rotation(view);
  return ipsec;
}

std::uint8_t generation_in_use(const Ipsec& ipsec, const std::string& peer) {
  const auto found = ipsec.rotation.peers.find(peer);
  if (found == ipsec.rotation.peers.end()) return 0;
  auto in_use = found->second.in_use;
  for (const auto* moves : {&found->second.additions, &found->second.retirements}) {
    for (const auto& move : *moves) {
      if (move.kind == MoveKind::kUse) in_use = move.generation;
    }
  }
  return in_use;
}

bool is_at_rest(const PeerRotation& peer) {
  const auto is_probe = [](const Move& move) { return move.kind == MoveKind::kProbe; };
  return peer.phase == RotationPhase::kSteady && std::ranges::all_of(peer.additions, is_probe) &&
         peer.retirements.empty();
}

bool is_settled(const Ipsec& ipsec) {
  const auto& decision = ipsec.rotation;
  // The plan takes all that is left of a peer that has departed.
  const auto is_done = [&](const auto& entry) {
    return is_at_rest(entry.second) || ipsec.peers.at(entry.first).departed;
  };
  return !decision.draw && decision.wipe.empty() && decision.waits.empty() &&
         std::ranges::all_of(decision.peers, is_done);
}

}  // namespace sheath::plan
