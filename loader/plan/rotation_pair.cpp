// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/rotation_rules.hpp"

namespace sheath::plan {
namespace {

// Of this node and one peer.
class PairRules {
 public:
  PairRules(const ViewFacts& facts, const std::string& name, const PeerView& peer)
      : facts_(facts), name_(name), peer_(peer), target_(facts.newest_common(peer)), in_use_(peer.in_use) {
    out_.in_use = peer.in_use;
  }

  // For a decision with a draw: what may not go on under `replaced`; 0: a draw that replaces nothing.
  PeerRotation stop(Generation replaced) {
    if (in_use_ != 0 && (in_use_ == replaced || !facts_.intact(peer_, in_use_))) use(out_.additions, 0);
    describe();
    return out_;
  }

  PeerRotation decide() {
    if (in_use_ != 0 && !facts_.intact(peer_, in_use_)) use(out_.additions, 0);
    if (facts_.waits_for_move(peer_)) return stand_still();
    for (Generation generation = 1; generation <= kGenerations; ++generation) {
      if (generation != target_ && !keeps(generation)) clear(out_.additions, generation);
    }
    if (target_ != 0 && !(target_is_older() && facts_.expired())) build();
    if (facts_.older() != nullptr && facts_.common(peer_, facts_.older()->generation) && is_over()) {
      retire(facts_.older()->generation);
    }
    describe();
    return out_;
  }

  // The own older generation is still needed for this peer. Says so for people.
  bool needs_older(std::vector<std::string>& waits) const {
    const auto* older = facts_.older();
    if (older == nullptr || !facts_.common(peer_, older->generation) || is_over()) return false;
    const auto newest = key_text(facts_.newest()->generation);
    if (target_is_older()) {
      waits.push_back("waits for " + name_ + ": it has not published " + newest);
    } else if (in_use_ != target_) {
      waits.push_back("waits for " + name_ + ": nothing was heard under " + newest);
    } else {
      waits.push_back("waits for " + name_ + ": it does not send under " + newest + " yet");
    }
    return true;
  }
  bool waits_for_move() const { return facts_.waits_for_move(peer_); }
  bool waits_for_tag() const { return target_ != 0 && !rx() && facts_.blocked(name_, peer_, target_); }

 private:
  bool rx() const { return ViewFacts::current(peer_.receive, peer_, target_); }
  bool tx() const { return ViewFacts::current(peer_.transmit, peer_, target_); }
  bool heard(std::uint16_t bits) const { return rx() && (bits & bit(target_)) != 0; }
  bool target_is_older() const { return facts_.older() != nullptr && target_ == facts_.older()->generation; }

  void use(std::vector<Move>& moves, Generation generation) {
    if (in_use_ != generation) moves.push_back({MoveKind::kUse, generation});
    in_use_ = generation;
  }

  // Nothing is sent to where the peer was. Its states stay: they tell the next look what happened.
  PeerRotation stand_still() {
    use(out_.additions, 0);
    for (const auto& policy : peer_.policies) out_.additions.push_back({MoveKind::kDropPolicy, policy.generation});
    out_.phase = RotationPhase::kWaiting;
    return out_;
  }

  // The older of two common generations stays as long as both its states do.
  bool keeps(Generation generation) const {
    return facts_.older() != nullptr && generation == facts_.older()->generation && facts_.common(peer_, generation) &&
           (!has(peer_.transmit, generation) || ViewFacts::current(peer_.transmit, peer_, generation)) &&
           (!has(peer_.receive, generation) || ViewFacts::current(peer_.receive, peer_, generation));
  }

  // We do not send under the older one and the peer does not either, or there is no more waiting for it.
  bool is_over() const {
    const auto newest = facts_.newest()->generation;
    return facts_.expired() || (target_ == newest && in_use_ == newest && heard(peer_.heard_uses));
  }

  void clear(std::vector<Move>& moves, Generation generation) const {
    if (has(peer_.policies, generation)) moves.push_back({MoveKind::kDropPolicy, generation});
    if (has(peer_.transmit, generation)) moves.push_back({MoveKind::kDropTransmit, generation});
    clear_receive(moves, generation);
  }
  // `heard` is cleared after the receive state has gone and before the next comes, so that a bit is always of the
  // present one. Also where the view has no bit: the old state may have set it since.
  void clear_receive(std::vector<Move>& moves, Generation generation) const {
    const bool receives = has(peer_.receive, generation);
    if (receives) moves.push_back({MoveKind::kDropReceive, generation});
    if (receives || ((peer_.heard_keys | peer_.heard_uses) & bit(generation)) != 0) {
      moves.push_back({MoveKind::kClearHeard, generation});
    }
  }

  // Whatever the target generation lacks, and nothing else. What is there of another pair of sessions goes first.
  void build() {
    auto& moves = out_.additions;
    const auto* policy = find(peer_.policies, target_);
    bool policies = policy != nullptr && policy->complete;
    if (!tx() && policy != nullptr) {
      // A transmit state may not meet a policy before it is recorded.
      moves.push_back({MoveKind::kDropPolicy, target_});
      policies = false;
    }
    if (!tx() && has(peer_.transmit, target_)) moves.push_back({MoveKind::kDropTransmit, target_});
    if (!rx()) {
      clear_receive(moves, target_);
      if (facts_.blocked(name_, peer_, target_)) return;
      moves.push_back({MoveKind::kAddReceive, target_});
    }
    if (!tx()) moves.push_back({MoveKind::kAddTransmit, target_});
    if (!ViewFacts::recorded(peer_, target_)) moves.push_back({MoveKind::kRecord, target_});
    if (!policies) moves.push_back({MoveKind::kSetPolicy, target_});
    if (heard(peer_.heard_keys)) use(moves, target_);
    if (probes()) moves.push_back({MoveKind::kProbe, target_});
  }

  // Until the peer was heard to use it, when we begin to, and as long as the peer may wait to hear that we do.
  bool probes() const {
    if (!heard(peer_.heard_uses) || peer_.in_use != in_use_) return true;
    const auto* older = facts_.older();
    return older != nullptr && older->generation != target_ && has(peer_.sessions, older->generation);
  }

  void retire(Generation generation) {
    auto& moves = out_.retirements;
    if (in_use_ == generation) use(moves, 0);
    if (!keeps(generation)) return;
    clear(moves, generation);
    out_.pause = has(peer_.receive, generation);
  }

  void describe() {
    out_.phase = phase();
    if (target_ == 0) return;
    const auto newest = facts_.newest()->generation;
    if (peer_.in_use != newest) out_.next = newest;
    const auto* older = facts_.older();
    if (peer_.in_use == newest && older != nullptr && out_.phase != RotationPhase::kSteady)
      out_.previous = older->generation;
  }

  RotationPhase phase() const {
    if (target_ == 0) return RotationPhase::kWaiting;
    if (target_is_older()) return RotationPhase::kPublished;
    if (!rx() || !tx()) return RotationPhase::kPublished;
    const auto* policy = find(peer_.policies, target_);
    if (!ViewFacts::recorded(peer_, target_) || policy == nullptr || !policy->complete)
      return RotationPhase::kInstalled;
    if (peer_.in_use != target_) return RotationPhase::kProbing;
    if (facts_.older() == nullptr) return RotationPhase::kSteady;
    const auto older = facts_.older()->generation;
    if (has(peer_.transmit, older)) return RotationPhase::kSwitched;
    return has(peer_.receive, older) ? RotationPhase::kRetiring : RotationPhase::kSteady;
  }

  const ViewFacts& facts_;
  const std::string& name_;
  const PeerView& peer_;
  Generation target_;
  Generation in_use_;  // as it will be after the moves so far
  PeerRotation out_;
};

}  // namespace

PeerRotation stop_peer(const ViewFacts& facts, const std::string& name, const PeerView& peer, Generation replaced) {
  return PairRules(facts, name, peer).stop(replaced);
}

void decide_peers(const ViewFacts& facts, RotationDecision& out) {
  bool needs_older = false;
  for (const auto& [name, peer] : facts.view().peers) {
    PairRules pair(facts, name, peer);
    if (pair.waits_for_move())
      out.waits.push_back("waits for " + name + ": its address changed, and it has no new session yet");
    if (pair.waits_for_tag()) out.waits.push_back("waits for " + name + ": its SPI is another node's too");
    out.peers[name] = pair.decide();
    needs_older |= pair.needs_older(out.waits);
  }
  if (facts.older() != nullptr && !needs_older) out.wipe.insert(facts.older()->generation);
  if (facts.older() != nullptr && !facts.expired()) {
    const auto left = facts.newest()->drawn_at + facts.view().timing.key_rotation_duration - facts.view().now;
    if (needs_older && (!out.deadline || left < *out.deadline)) out.deadline = left;
  }
}

}  // namespace sheath::plan
