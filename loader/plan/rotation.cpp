// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/rotation.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace sheath::plan {
namespace {

using Generation = std::uint8_t;

std::uint16_t bit(Generation generation) {
  return static_cast<std::uint16_t>(1U << generation);
}

std::string key_text(Generation generation) {
  return "key " + std::to_string(generation);
}

template <typename Entry>
bool has(const std::vector<Entry>& entries, Generation generation) {
  return std::ranges::any_of(entries, [&](const Entry& entry) { return entry.generation == generation; });
}

template <typename Entry>
const Entry* find(const std::vector<Entry>& entries, Generation generation) {
  const auto found = std::ranges::find(entries, generation, &Entry::generation);
  return found == entries.end() ? nullptr : &*found;
}

// Which of the generations the others are to follow: of those that two nodes or more publish, else of all, the one
// that is ahead of every other. Generations that chase each other in a circle have none; then the first node decides.
Generation goal_of(const std::map<std::string, std::vector<Generation>>& published) {
  std::map<Generation, int> count;
  for (const auto& [name, generations] : published) {
    for (const auto generation : generations) ++count[generation];
  }
  if (std::ranges::any_of(count, [](const auto& entry) { return entry.second > 1; })) {
    std::erase_if(count, [](const auto& entry) { return entry.second == 1; });
  }
  for (const auto& [top, votes] : count) {
    const auto behind = [top = top](const auto& entry) { return entry.first == top || is_ahead(top, entry.first); };
    if (std::ranges::all_of(count, behind)) return top;
  }
  for (const auto& [name, generations] : published) {
    for (const auto generation : generations) {
      if (count.contains(generation)) return generation;
    }
  }
  return 0;
}

// What the rules ask about the view.
class ViewFacts {
 public:
  explicit ViewFacts(const RotationView& view) : view_(view) {
    for (const auto& session : view.sessions) {
      if (newest_ == nullptr || session.generation == next_generation(newest_->generation)) newest_ = &session;
    }
    for (const auto& session : view.sessions) {
      if (&session != newest_) older_ = &session;
    }
    index_spis();
  }

  const RotationView& view() const { return view_; }
  const OwnSession* newest() const { return newest_; }
  const OwnSession* older() const { return older_; }
  bool holds(std::uint8_t psk_id) const { return psk_id == view_.file_key_id || view_.held_psk_ids.contains(psk_id); }
  bool expired() const {
    return older_ != nullptr && view_.now - newest_->drawn_at >= view_.timing.key_rotation_duration;
  }

  bool common(const PeerView& peer, Generation generation) const {
    const auto* own = find(view_.sessions, generation);
    const auto* other = find(peer.sessions, generation);
    return own != nullptr && other != nullptr && own->psk_id == other->psk_id;
  }
  // The newest that can be used between us; 0: none.
  Generation newest_common(const PeerView& peer) const {
    if (newest_ != nullptr && common(peer, newest_->generation)) return newest_->generation;
    if (older_ != nullptr && common(peer, older_->generation)) return older_->generation;
    return 0;
  }
  // One state, and of the present pair of sessions.
  static bool current(const std::vector<InstalledState>& states, const PeerView& peer, Generation generation) {
    const auto* session = find(peer.sessions, generation);
    const auto* state = find(states, generation);
    return session != nullptr && state != nullptr && state->peer_key == session->public_key &&
           std::ranges::count(states, generation, &InstalledState::generation) == 1;
  }
  bool intact(const PeerView& peer, Generation generation) const {
    return common(peer, generation) && current(peer.receive, peer, generation) &&
           current(peer.transmit, peer, generation);
  }
  static bool recorded(const PeerView& peer, Generation generation) {
    const auto* session = find(peer.sessions, generation);
    return session != nullptr && std::ranges::any_of(peer.recorded, [&](const RecordedPair& pair) {
             return pair.generation == generation && pair.peer_key == session->public_key;
           });
  }
  // The pair's keys were in use and a state of them is lost: to make it again would count from zero a second time, or
  // take what was sent before a second time. (A pair that we left because the time was over lost its states to us.)
  bool burned(const PeerView& peer, Generation generation) const {
    if (expired() && generation == older_->generation) return false;
    return newest_common(peer) == generation && recorded(peer, generation) && !intact(peer, generation);
  }

  // The pair needs new keys, since states cannot be led elsewhere; and it is the peer that draws for it: it sees that
  // it moved, and has to do so for all of its pairs anyway. If we did, too, all of ours would stand still for it.
  bool waits_for_move(const PeerView& peer) const {
    const auto generation = newest_common(peer);
    return peer.moved && generation != 0 && recorded(peer, generation) && !intact(peer, generation);
  }

  // A node with a smaller name than it has this SPI. The kernel finds a state by SPI, so only one of them can be
  // received; all agree on the smaller name.
  bool loses_tag(const std::string& name, Generation generation, std::uint32_t tag) const {
    const auto first = first_with_tag_.find({generation, tag});
    return first != first_with_tag_.end() && *first->second < name;
  }
  // The SPI is still held by another peer's state: that one has to go first.
  bool occupied(const std::string& name, Generation generation, std::uint32_t tag) const {
    const auto [first, last] = receivers_.equal_range({generation, tag});
    return std::any_of(first, last, [&](const auto& entry) { return *entry.second != name; });
  }
  bool blocked(const std::string& name, const PeerView& peer, Generation generation) const {
    const auto* session = find(peer.sessions, generation);
    return session != nullptr &&
           (loses_tag(name, generation, session->tag) || occupied(name, generation, session->tag));
  }

 private:
  using Spi = std::pair<Generation, std::uint32_t>;

  void index_spis() {
    for (const auto& [name, peer] : view_.peers) {  // in the order of their names
      for (const auto& session : peer.sessions) first_with_tag_.try_emplace({session.generation, session.tag}, &name);
      for (const auto& state : peer.receive) receivers_.emplace(Spi{state.generation, state.tag}, &name);
    }
  }

  const RotationView& view_;
  const OwnSession* newest_ = nullptr;
  const OwnSession* older_ = nullptr;
  std::map<Spi, const std::string*> first_with_tag_;  // whose session, by what is published
  std::multimap<Spi, const std::string*> receivers_;  // whose states
};

// --- drawing -------------------------------------------------------------------------------------------------------

class Drawing {
 public:
  Drawing(const ViewFacts& facts, RotationDecision& out) : facts_(facts), view_(facts.view()), out_(out) {}

  void decide() {
    if (view_.sessions.empty()) return first_session();
    for (const auto& session : view_.sessions) {
      if (replace(session)) return;
    }
    if (facts_.older() != nullptr || leave_alone() || follow()) return;
    start();
  }

 private:
  void draw(Generation generation, std::uint8_t psk_id, bool replaces = false) {
    Draw draw{generation, psk_id, replaces, {}};
    for (const auto& session : view_.sessions) draw.taken_tags.insert(session.tag);
    for (const auto& [name, peer] : view_.peers) {
      for (const auto& session : peer.sessions) draw.taken_tags.insert(session.tag);
    }
    out_.draw = std::move(draw);
  }
  void wait_for(const std::string& name, const std::string& why) {
    out_.waits.push_back("waits for " + name + ": " + why);
  }
  bool wait_for_key_file(const std::string& name, const PeerView& peer) {
    if (peer.key_id == view_.file_key_id) return false;
    wait_for(name, peer.key_id ? "its key file has " + key_text(*peer.key_id) : "it has not published a key ID");
    return true;
  }
  void deadline(std::chrono::nanoseconds at) {
    const auto left = std::max(at - view_.now, std::chrono::nanoseconds{0});
    if (!out_.deadline || left < *out_.deadline) out_.deadline = left;
  }

  template <typename Usable>
  std::map<std::string, std::vector<Generation>> published(const Usable& usable) const {
    std::map<std::string, std::vector<Generation>> all;
    for (const auto& [name, peer] : view_.peers) {
      for (const auto& session : peer.sessions) {
        if (usable(session.psk_id)) all[name].push_back(session.generation);
      }
    }
    return all;
  }

  // After a boot nobody remembers us: any generation will do that the others know, with a key that we hold.
  void first_session() {
    const auto file = view_.file_key_id;
    const auto all = published([](std::uint8_t) { return true; });
    const auto ours = published([&](std::uint8_t psk_id) { return psk_id == file; });
    if (all.empty()) return draw(file, file);
    if (!ours.empty()) return draw(goal_of(ours), file);
    bool waits = false;
    for (const auto& [name, generations] : all) waits |= wait_for_key_file(name, view_.peers.at(name));
    if (!waits) draw(next_generation(goal_of(all)), file);
  }

  // The same generation again, with fresh keys.
  bool replace(const OwnSession& session) {
    const auto generation = session.generation;
    const auto burned = [&](const auto& entry) {
      return facts_.burned(entry.second, generation) && !facts_.waits_for_move(entry.second);
    };
    if (facts_.loses_tag(view_.name, generation, session.tag) || std::ranges::any_of(view_.peers, burned)) {
      draw(generation, session.psk_id, true);
      return true;
    }
    for (const auto& [name, peer] : view_.peers) {
      const auto* other = find(peer.sessions, generation);
      if (other == nullptr || other->psk_id == session.psk_id || !yields(session, name, peer)) continue;
      draw(generation, other->psk_id, true);
      return true;
    }
    return false;
  }

  // Two nodes bound one generation to different pre-shared keys, and neither will ever use it with the other. Both
  // judge by what is published, of themselves too, so that they come to the same answer.
  bool yields(const OwnSession& own, const std::string& name, const PeerView& peer) const {
    const auto theirs = find(peer.sessions, own.generation)->psk_id;
    const auto is_bound = [&](const OwnSession& session) { return session.psk_id == theirs; };
    if (theirs != view_.file_key_id && std::ranges::none_of(view_.sessions, is_bound)) return false;
    const auto bound = [&](const PeerSession& session) { return session.psk_id == own.psk_id; };
    if (peer.key_id != own.psk_id && std::ranges::none_of(peer.sessions, bound)) return true;
    if (view_.file_key_id == peer.key_id && own.psk_id == view_.file_key_id) return false;
    if (view_.file_key_id == peer.key_id && theirs == view_.file_key_id) return true;
    return name < view_.name;
  }

  bool shares(const PeerView& peer) const { return facts_.common(peer, facts_.newest()->generation); }
  bool alone() const {
    return std::ranges::none_of(view_.peers, [&](const auto& entry) { return shares(entry.second); });
  }

  // Where the nodes whose keys we hold are; their own generation for those who are there.
  Generation goal() const {
    auto all = published([&](std::uint8_t psk_id) { return facts_.holds(psk_id); });
    all[view_.name] = {facts_.newest()->generation};
    return goal_of(all);
  }

  // A node whose generation nobody shares starts again, unless one step brings it to the others or them to it.
  bool leave_alone() {
    const auto own = facts_.newest()->generation;
    const auto there = goal();
    if (!alone() || there == own || there == next_generation(own) || there == previous_generation(own)) return false;
    out_.wipe.insert(own);
    return true;
  }

  // A peer went ahead. True also while we cannot follow: nothing is started past it.
  bool follow() {
    const auto next = next_generation(facts_.newest()->generation);
    std::optional<std::uint8_t> psk_id;
    const std::string* ahead = nullptr;
    for (const auto& [name, peer] : view_.peers) {
      const auto* session = find(peer.sessions, next);
      if (session == nullptr) continue;
      ahead = &name;
      if (facts_.holds(session->psk_id) && psk_id != view_.file_key_id) psk_id = session->psk_id;
    }
    if (ahead == nullptr) return false;
    if (psk_id) {
      draw(next, *psk_id);
    } else {
      out_.waits.push_back("waits for this node's key file: " + *ahead + " uses " +
                           key_text(find(view_.peers.at(*ahead).sessions, next)->psk_id));
    }
    return true;
  }

  bool due() {
    const auto& own = *facts_.newest();
    const auto every = view_.timing.rotate_every;
    if (every.count() == 0) return false;
    // While a new key file is on its way the generation goes with it: started by the clock, under the old key, it
    // would meet one that another node starts under the new.
    if (own.psk_id != view_.file_key_id) return false;
    deadline(own.drawn_at + every);
    return view_.now - own.drawn_at >= every;
  }

  // A live peer is done with the previous generation soon after it drew this one; a dead one is never.
  bool previous_is_over() {
    const auto& own = *facts_.newest();
    const auto previous = previous_generation(own.generation);
    const auto patience = own.drawn_at + 2 * view_.timing.key_rotation_duration;
    if (view_.now >= patience) return true;
    bool over = true;
    for (const auto& [name, peer] : view_.peers) {
      if (!shares(peer) || !has(peer.sessions, previous)) continue;
      wait_for(name, "it still has " + key_text(previous));
      over = false;
    }
    if (!over) deadline(patience);
    return over;
  }

  // The next generation begins here: the key file changed, the time is over, numbers run out, or others that share
  // nothing with us are ahead.
  void start() {
    const auto& own = *facts_.newest();
    const auto file = view_.file_key_id;
    const auto is_high = [](const auto& entry) { return entry.second.sequence_high; };
    const bool forced = std::ranges::any_of(view_.peers, is_high) || goal() != own.generation;
    if (own.psk_id == file && !due() && !forced) return;
    if (!previous_is_over()) return;
    bool all_have_file = true;
    if (own.psk_id != file) {
      for (const auto& [name, peer] : view_.peers) {
        if (shares(peer) && wait_for_key_file(name, peer)) all_have_file = false;
      }
    }
    if (all_have_file) return draw(next_generation(own.generation), file);
    if (forced) draw(next_generation(own.generation), own.psk_id);
  }

  const ViewFacts& facts_;
  const RotationView& view_;
  RotationDecision& out_;
};

// --- one pair ------------------------------------------------------------------------------------------------------

class Pair {
 public:
  Pair(const ViewFacts& facts, const std::string& name, const PeerView& peer)
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

void decide_pairs(const ViewFacts& facts, RotationDecision& out) {
  bool needs_older = false;
  for (const auto& [name, peer] : facts.view().peers) {
    Pair pair(facts, name, peer);
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

// A key that this node once published as its file's may be what a peer draws with, so it stays until the file's key is
// what we use.
std::set<std::uint8_t> psk_to_keep(const ViewFacts& facts) {
  std::set<std::uint8_t> keep{facts.view().file_key_id};
  if (facts.newest() == nullptr) return keep;
  for (const auto& session : facts.view().sessions) keep.insert(session.psk_id);
  if (facts.newest()->psk_id != facts.view().file_key_id) keep.merge(std::set(facts.view().held_psk_ids));
  return keep;
}

// --- the order -----------------------------------------------------------------------------------------------------

struct Slot {
  MoveKind kind;
  bool stops = false;               // only a kUse of generation 0; a kUse without it: only of another
  bool transmit_comes_too = false;  // kAddTransmit of the same peer
};

// A peer's two new states follow each other: what both keys come from is computed once.
constexpr std::array kAdditions{Slot{MoveKind::kUse, true},    Slot{MoveKind::kDropPolicy},
                                Slot{MoveKind::kDropTransmit}, Slot{MoveKind::kDropReceive},
                                Slot{MoveKind::kClearHeard},   Slot{MoveKind::kAddReceive, false, true},
                                Slot{MoveKind::kRecord},       Slot{MoveKind::kSetPolicy},
                                Slot{MoveKind::kUse},          Slot{MoveKind::kProbe}};
constexpr std::array kRetirements{Slot{MoveKind::kUse, true}, Slot{MoveKind::kDropPolicy},
                                  Slot{MoveKind::kDropTransmit}};
constexpr std::array kLastRetirements{Slot{MoveKind::kDropReceive}, Slot{MoveKind::kClearHeard}};

bool fits(const Move& move, const Slot& slot) {
  if (slot.transmit_comes_too && move.kind == MoveKind::kAddTransmit) return true;
  return move.kind == slot.kind && (move.kind != MoveKind::kUse || (move.generation == 0) == slot.stops);
}

template <typename Slots>
void collect(const RotationDecision& decision, std::vector<Move> PeerRotation::* list, const Slots& slots,
             std::vector<RotationStep>& out) {
  for (const auto& slot : slots) {
    RotationStep record{RotationStep::Kind::kRecordPairs, {}, {}, {}, {}};
    for (const auto& [name, peer] : decision.peers) {
      for (const auto& move : peer.*list) {
        if (!fits(move, slot)) continue;
        if (move.kind == MoveKind::kRecord) {
          record.pairs.emplace_back(name, move.generation);
        } else {
          out.push_back({RotationStep::Kind::kMove, name, move, {}, {}});
        }
      }
    }
    if (!record.pairs.empty()) out.push_back(std::move(record));
  }
}

}  // namespace

RotationDecision decide_rotation(const RotationView& view) {
  RotationDecision out;
  const ViewFacts facts(view);
  Drawing(facts, out).decide();
  out.keep_psk = psk_to_keep(facts);
  if (!out.draw) {
    decide_pairs(facts, out);
    return out;
  }
  for (const auto& [name, peer] : view.peers) {
    out.peers[name] = Pair(facts, name, peer).stop(out.draw->replaces ? out.draw->generation : Generation{0});
  }
  return out;
}

RotationSteps flatten(const RotationDecision& decision) {
  RotationSteps out;
  collect(decision, &PeerRotation::additions, kAdditions, out.additions);
  if (decision.draw) {
    out.additions.push_back({RotationStep::Kind::kDraw, {}, {}, *decision.draw, {}});
  }
  collect(decision, &PeerRotation::retirements, kRetirements, out.retirements);
  if (std::ranges::any_of(decision.peers, [](const auto& entry) { return entry.second.pause; })) {
    out.retirements.push_back({RotationStep::Kind::kPause, {}, {}, {}, {}});
  }
  collect(decision, &PeerRotation::retirements, kLastRetirements, out.retirements);
  for (const auto generation : decision.wipe) {
    out.retirements.push_back({RotationStep::Kind::kWipe, {}, {MoveKind::kUse, generation}, {}, {}});
  }
  return out;
}

}  // namespace sheath::plan
