// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/standing_ipsec.hpp"

#include <algorithm>
#include <utility>

#include "loader/plan/ipsec_plan.hpp"
#include "loader/plan/ipsec_seen.hpp"

namespace sheath::plan {
namespace {

// The one that everything goes under; null: there is none, or there is about to be another one.
const OwnSession* only_session(const IpsecInputs& inputs) {
  if (inputs.sessions.size() != 1 || inputs.sessions[0].psk_id != inputs.file_key_id) return nullptr;
  return &inputs.sessions[0];
}

template <typename Session>
bool goes_with(const OwnSession& own, const Session& session) {
  return session.generation == own.generation && session.psk_id == own.psk_id && session.tag != own.tag;
}

bool goes_with(const OwnSession& own, const IpsecPeer& peer) {
  return peer.sessions.empty() || (peer.sessions.size() == 1 && goes_with(own, peer.sessions.begin()->second));
}

// What the steps of a plan make of it.
class Doer {
 public:
  Doer(IpsecTraces& traces, const IpsecInputs& inputs) : traces_(traces), inputs_(inputs) {}

  void operator()(const AddState& step) {
    SeenState seen{step.state, std::nullopt, 0};
    const auto digests = inputs_.digests.find({step.peer, step.state.generation});
    if (digests != inputs_.digests.end()) {
      const bool transmit = step.state.use == StateUse::kTransmit;
      seen.digest = transmit ? digests->second.transmit : digests->second.receive;
    }
    traces_.states.push_back(seen);
  }
  void operator()(const DropState& step) {
    std::erase_if(traces_.states, [&](const SeenState& seen) { return seen.state == step.state; });
  }
  void operator()(const RecordPairs& step) {
    for (const auto& [peer, key] : step.sessions) traces_.recorded[peer] = key;
  }
  void operator()(const SetPolicies& step) {
    for (const auto& policy : step.policies) {
      std::erase_if(traces_.policies, [&](const EspPolicy& other) { return is_replaced(other, policy); });
      traces_.policies.insert(policy);
    }
  }
  void operator()(const DropPolicies& step) {
    for (const auto& policy : step.policies) traces_.policies.erase(policy);
  }
  template <typename Other>
  void operator()(const Other&) {}

 private:
  static bool is_replaced(const EspPolicy& old, const EspPolicy& by) {
    return old.source == by.source && old.destination == by.destination && old.node_id == by.node_id &&
           old.generation == by.generation;
  }

  IpsecTraces& traces_;
  const IpsecInputs& inputs_;
};

void do_all(const Plan& plan, const IpsecInputs& inputs, IpsecTraces& traces) {
  Doer doer(traces, inputs);
  for (const auto& step : plan) std::visit(doer, step);
}

void add(const IpsecTraces& more, IpsecTraces& out) {
  out.states.insert(out.states.end(), more.states.begin(), more.states.end());
  out.policies.insert(more.policies.begin(), more.policies.end());
  out.recorded.insert(more.recorded.begin(), more.recorded.end());
  out.in_use.insert(more.in_use.begin(), more.in_use.end());
}

void add_of(std::uint16_t node_id, const SeenByPeer& seen, IpsecTraces& out) {
  for (const auto* state : seen.states(node_id)) out.states.push_back(*state);
  for (const auto* policy : seen.policies(node_id)) out.policies.insert(*policy);
}

// Of a peer at rest.
IpsecTraces traces_at_rest(const state::Node& own, const OwnSession& session, const FormerPeer& peer) {
  const auto ipsec = ipsec_of(own, {session}, {peer.input});
  const auto& name = peer.input.node->name;
  const auto generation = session.generation;
  IpsecTraces out;
  out.states.push_back({state_of(ipsec, name, StateUse::kTransmit, generation), peer.digests.value().transmit, 0});
  out.states.push_back({state_of(ipsec, name, StateUse::kReceive, generation), peer.digests.value().receive, 0});
  out.policies = policies_of(ipsec, name, generation);
  out.recorded[name] = ipsec.peers.at(name).sessions.at(generation).public_key;
  out.in_use[name] = generation;
  return out;
}

bool is_at_rest(const Ipsec& ipsec, const std::string& peer) {
  const auto found = ipsec.rotation.peers.find(peer);
  return found != ipsec.rotation.peers.end() && plan::is_at_rest(found->second);
}

}  // namespace

std::optional<StandingIpsec> StandingIpsec::make(const Ipsec& done, const IpsecInputs& inputs,
                                                 const IpsecActual& actual, const Plan& plan) {
  const auto* session = only_session(inputs);
  const auto fits = [&](const auto& entry) { return goes_with(*session, entry.second); };
  if (session == nullptr || !std::ranges::all_of(done.peers, fits)) return std::nullopt;
  StandingIpsec out(*session);
  if (!out.add_tags(done)) return std::nullopt;

  IpsecTraces traces;
  const SeenByPeer seen(actual);
  std::size_t pending = 0;
  for (const auto& [name, peer] : done.peers) {
    if (peer.departed || is_at_rest(done, name)) continue;
    if (++pending > kMaxPending) return std::nullopt;
    add_of(peer.node_id, seen, traces);
  }
  if (const auto recorded = inputs.recorded.find(session->generation); recorded != inputs.recorded.end()) {
    for (const auto& [name, key] : recorded->second) {
      if (!is_at_rest(done, name)) traces.recorded[name] = key;
    }
  }
  do_all(plan, inputs, traces);
  out.keep(traces, done);
  return out;
}

// False: two have the same, which the rotation has to judge.
bool StandingIpsec::add_tags(const Ipsec& ipsec) {
  for (const auto& [name, peer] : ipsec.peers) {
    for (const auto& [generation, session] : peer.sessions) {
      if (!tags_.insert(session.tag).second) return false;
    }
  }
  return true;
}

bool StandingIpsec::admits(const IpsecInputs& inputs, std::span<const state::Node> before,
                           std::span<const state::Node> after) const {
  const auto* session = only_session(inputs);
  if (session == nullptr || *session != session_) return false;
  std::set<std::uint32_t> old, taken;
  for (const auto& node : before) {
    for (const auto& theirs : node.ipsec_sessions) old.insert(theirs.tag);
  }
  return std::ranges::all_of(after, [&](const state::Node& node) {
    if (node.ipsec_sessions.empty()) return true;
    const auto& theirs = node.ipsec_sessions[0];
    return node.ipsec_sessions.size() == 1 && goes_with(session_, theirs) &&
           (old.contains(theirs.tag) || !tags_.contains(theirs.tag)) && taken.insert(theirs.tag).second;
  });
}

IpsecTraces StandingIpsec::about(const state::Node& own, const std::set<std::string>& names,
                                 std::span<const FormerPeer> former) const {
  IpsecTraces out;
  for (const auto& name : names) {
    if (const auto found = traces_.find(name); found != traces_.end()) add(found->second, out);
  }
  for (const auto& peer : former) {
    if (!traces_.contains(peer.input.node->name)) add(traces_at_rest(own, session_, peer), out);
  }
  return out;
}

void StandingIpsec::absorb(IpsecTraces traces, const std::set<std::string>& names, std::span<const state::Node> before,
                           const Ipsec& part, const IpsecInputs& inputs, const Plan& plan) {
  for (const auto& name : names) {
    pending_.erase(name);
    traces_.erase(name);
  }
  for (const auto& node : before) {
    for (const auto& session : node.ipsec_sessions) tags_.erase(session.tag);
  }
  (void)add_tags(part);  // admits() saw to it
  do_all(plan, inputs, traces);
  keep(traces, part);
}

void StandingIpsec::keep(const IpsecTraces& traces, const Ipsec& part) {
  for (const auto& [name, key] : traces.recorded) {
    if (!is_at_rest(part, name)) traces_[name].recorded[name] = key;
  }
  for (const auto& [name, peer] : part.peers) {
    if (peer.departed || is_at_rest(part, name)) continue;
    pending_.insert(name);
    auto& of = traces_[name];
    of.in_use[name] = generation_in_use(part, name);
    std::ranges::copy_if(traces.states, std::back_inserter(of.states),
                         [&](const SeenState& seen) { return seen.state.node_id == peer.node_id; });
    std::ranges::copy_if(traces.policies, std::inserter(of.policies, of.policies.end()),
                         [&](const EspPolicy& policy) { return policy.node_id == peer.node_id; });
  }
}

}  // namespace sheath::plan
