// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "loader/plan/rotation.hpp"

// What the rules of the rotation ask about a view of it. Private to rotation*.cpp.
namespace sheath::plan {

using Generation = std::uint8_t;

constexpr std::uint16_t bit(Generation generation) {
  return static_cast<std::uint16_t>(1U << generation);
}

inline std::string key_text(Generation generation) {
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

}  // namespace sheath::plan
