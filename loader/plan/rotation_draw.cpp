// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "loader/plan/rotation_rules.hpp"

namespace sheath::plan {
namespace {

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

}  // namespace

void decide_draw(const ViewFacts& facts, RotationDecision& out) {
  Drawing(facts, out).decide();
}

}  // namespace sheath::plan
