// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/ipsec_plan.hpp"

#include <algorithm>

#include "loader/keys/session.hpp"
#include "loader/plan/ipsec_seen.hpp"
#include "maps/marks.h"

namespace sheath::plan {
namespace {

constexpr std::chrono::milliseconds kReorderAllowance{2000};

// The rotation's moves as steps.
class Moves {
 public:
  Moves(const Ipsec& desired, const IpsecActual& actual, Maps& maps, Plan& plan)
      : desired_(desired), seen_(actual), maps_(maps), plan_(plan) {}

  void add(const std::vector<RotationStep>& steps) {
    for (const auto& step : steps) {
      if (step.kind != RotationStep::Kind::kMove || step.move.kind != MoveKind::kProbe) send_probes();
      add(step);
    }
    send_probes();
  }

 private:
  void add(const RotationStep& step) {
    switch (step.kind) {
      case RotationStep::Kind::kMove:
        return add(step.peer, step.move);
      case RotationStep::Kind::kRecordPairs:
        return record(step.pairs);
      case RotationStep::Kind::kPause:
        plan_.emplace_back(Pause{kReorderAllowance});
        return;
      case RotationStep::Kind::kDraw:
        return draw(*desired_.rotation.draw);
      case RotationStep::Kind::kWipe:
        plan_.emplace_back(RetireSession{step.move.generation});
        return;
    }
  }

  void add(const std::string& peer, const Move& move) {
    const auto& about = desired_.peers.at(peer);
    switch (move.kind) {
      case MoveKind::kUse:
        return use(about, move.generation);
      case MoveKind::kDropPolicy:
        return drop_policies(about, move.generation);
      case MoveKind::kDropTransmit:
        return drop_states(about, StateUse::kTransmit, move.generation);
      case MoveKind::kDropReceive:
        return drop_states(about, StateUse::kReceive, move.generation);
      case MoveKind::kClearHeard:
        plan_.emplace_back(ForgetHeard{about.node_id, move.generation});
        return;
      case MoveKind::kAddReceive:
        return add_state(peer, StateUse::kReceive, move.generation);
      case MoveKind::kAddTransmit:
        return add_state(peer, StateUse::kTransmit, move.generation);
      case MoveKind::kSetPolicy:
        plan_.emplace_back(SetPolicies{policies_of(desired_, peer, move.generation)});
        return;
      case MoveKind::kProbe:
        return probe(about, move.generation);
      case MoveKind::kRecord:
        return record({{peer, move.generation}});
    }
  }

  void draw(const Draw& draw) { plan_.emplace_back(DrawSession{draw.generation, draw.psk_id, draw.taken_tags}); }

  void use(const IpsecPeer& peer, std::uint8_t generation) {
    auto& entry = maps_.peers[peer.node_id];
    entry.tx_mark = sheath_tx_mark(peer.node_id, generation);
    entry.ready = generation != 0;
    plan_.emplace_back(SetPeer{peer.node_id, entry});
  }

  void drop_policies(const IpsecPeer& peer, std::uint8_t generation) {
    DropPolicies step;
    for (const auto* policy : seen_.policies(peer.node_id)) {
      if (policy->generation == generation) step.policies.insert(*policy);
    }
    if (!step.policies.empty()) plan_.emplace_back(std::move(step));
  }

  void drop_states(const IpsecPeer& peer, StateUse use, std::uint8_t generation) {
    for (const auto* seen : seen_.states(peer.node_id)) {
      const auto& state = seen->state;
      if (state.use == use && state.generation == generation) plan_.emplace_back(DropState{state});
    }
  }

  void add_state(const std::string& peer, StateUse use, std::uint8_t generation) {
    const auto& session = desired_.peers.at(peer).sessions.at(generation);
    plan_.emplace_back(AddState{peer, state_of(desired_, peer, use, generation), session.public_key});
  }

  void record(const std::vector<std::pair<std::string, std::uint8_t>>& pairs) {
    std::map<std::uint8_t, RecordPairs> steps;
    for (const auto& [peer, generation] : pairs) {
      auto& step = steps[generation];
      step.generation = generation;
      step.sessions[peer] = desired_.peers.at(peer).sessions.at(generation).public_key;
    }
    for (auto& [generation, step] : steps) plan_.emplace_back(std::move(step));
  }

  // From the first address of a pod CIDR to the first of the peer's: a policy matches, and no pod has them.
  void probe(const IpsecPeer& peer, std::uint8_t generation) {
    if (peer.selectors.empty()) return;
    const auto& [from, to] = *peer.selectors.begin();
    const auto entry = maps_.peers.find(peer.node_id);
    const bool ready = entry != maps_.peers.end() && entry->second.ready;
    const auto uses = ready ? entry->second.tx_mark >> SHEATH_MARK_KEY_SHIFT & 0xf : 0;
    probes_.probes.push_back({peer.node_id, generation, static_cast<std::uint8_t>(uses), from.address, to.address});
  }

  void send_probes() {
    if (!probes_.probes.empty()) plan_.emplace_back(std::exchange(probes_, {}));
  }

  const Ipsec& desired_;
  SeenByPeer seen_;
  Maps& maps_;
  Plan& plan_;
  SendProbes probes_;
};

// Of generations that stay: what was for pod CIDRs that one of the two no longer has.
void drop_strays(const Ipsec& desired, const IpsecActual& actual, Plan& plan) {
  DropPolicies step;
  const SeenByPeer seen(actual);
  for (const auto& [name, peer] : desired.peers) {
    if (peer.selectors.empty()) continue;
    for (const auto* policy : seen.policies(peer.node_id)) {
      if (!peer.selectors.contains({policy->source, policy->destination})) step.policies.insert(*policy);
    }
  }
  if (!step.policies.empty()) plan.emplace_back(std::move(step));
}

}  // namespace

EspState state_of(const Ipsec& desired, const std::string& peer, StateUse use, std::uint8_t generation) {
  const auto& about = desired.peers.at(peer);
  const auto tag = use == StateUse::kTransmit ? desired.sessions.at(generation).tag : about.sessions.at(generation).tag;
  return {use, about.node_id, generation, about.ends.value(), keys::spi_of(tag, generation)};
}

std::set<EspPolicy> policies_of(const Ipsec& desired, const std::string& peer, std::uint8_t generation) {
  std::set<EspPolicy> out;
  const auto& about = desired.peers.at(peer);
  const auto session = desired.sessions.find(generation);
  if (session == desired.sessions.end() || !about.ends) return out;
  const auto spi = keys::spi_of(session->second.tag, generation);
  for (const auto& [source, destination] : about.selectors) {
    out.insert({source, destination, about.node_id, generation, *about.ends, spi});
  }
  return out;
}

void plan_ipsec_device(const Ipsec& desired, const IpsecActual& actual, Plan& plan) {
  if (!actual.device) plan.emplace_back(CreateXfrm{kXfrmDevice});
  if (!actual.device || actual.device->mtu != desired.mtu) plan.emplace_back(SetTunnelMtu{kXfrmDevice, desired.mtu});
  if (!actual.delivery_policies) plan.emplace_back(SetDeliveryPolicies{});
}

void plan_ipsec_up(const IpsecActual& actual, Plan& plan) {
  if (!actual.device || !actual.device->up) plan.emplace_back(SetTunnelUp{kXfrmDevice});
}

void plan_ipsec_additions(const Ipsec& desired, const IpsecActual& actual, Maps& maps, Plan& plan) {
  Moves(desired, actual, maps, plan).add(flatten(desired.rotation).additions);
}

void plan_ipsec_removals(const Ipsec& desired, const IpsecActual& actual, Maps& maps, Plan& plan) {
  drop_strays(desired, actual, plan);
  Moves(desired, actual, maps, plan).add(flatten(desired.rotation).retirements);
}

void plan_ipsec_removal(const IpsecActual& actual, Plan& plan) {
  if (actual.device) plan.emplace_back(RemoveTunnel{kXfrmDevice});
  if (!actual.states.empty() || !actual.policies.empty() || actual.delivery_policies) plan.emplace_back(FlushIpsec{});
  if (actual.sessions) plan.emplace_back(RemoveSessions{});
}

}  // namespace sheath::plan
