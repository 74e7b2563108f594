// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "loader/plan/rotation.hpp"

// A cluster of two or three nodes that rotate their keys, small enough to try every order of everything.
//
//   run directory ─┐                            ┌─ published object, read by the others at the start of a round
//   kernel, maps ──┼─▶ view ─▶ rules ─▶ moves, one at a time, each an event of its own
//   key file ──────┘
//
// Events: a node starts a round; does its next move; its process dies (the rest of the moves is forgotten), as often as
// it likes; reboots; loses its xfrm states; gets another key file; its session gets old enough to be rotated; it sleeps
// (its kernel goes on) and wakes; keyRotationDuration passes; a probe arrives, late or never; data arrives, in order
// or from before a switch. Data is sent at every moment: whatever a state's `generation in use` allows is checked
// there.
//
// Keys are numbers that are renamed by order of appearance, so that states that differ in nothing else are one.
namespace sheath::plan::model {

inline constexpr int kMostNodes = 3;

struct Planned {
  RotationSteps steps;
  std::set<std::uint8_t> keep_psk;
  std::vector<std::string> waits;
};
using Rules = std::function<Planned(const RotationView&)>;
Planned real_rules(const RotationView& view);

// How often each event may happen to a node.
struct Budget {
  std::uint8_t reboots = 0;
  std::uint8_t flushes = 0;
  std::uint8_t file_changes = 0;
  std::uint8_t rotations = 0;  // rotateEvery comes due
  std::uint8_t sleeps = 0;
  std::uint8_t expiries = 0;  // keyRotationDuration passes
  std::uint8_t deaths = 0;    // of the process, in a coarse search; else as often as it likes
};

struct Scenario {
  std::string name;
  int nodes = 2;
  std::uint8_t file_key_id = 3;  // of all key files at the beginning
  int files_apart = 0;           // but the first node's, which is that much behind
  bool steady = true;            // begins with all pairs in use; false: with nodes that just booted
  std::array<Budget, kMostNodes> budgets{};
  // Smaller, for three nodes: a process dies as often as its budget says; a probe arrives at once or never; moves of
  // one kind, and those that others cannot notice, are one event with the move before them; data arrives at once
  // (`traffic`), or nobody sends any.
  bool coarse = false;
  bool traffic = true;
  int most_busy = kMostNodes;  // nodes that are in a round at the same time
  std::size_t most_states = 5'000'000;
};

struct Report {
  std::size_t states = 0;
  std::size_t events = 0;
  std::size_t checked_ends = 0;    // states from which the way to the end was walked
  int most_rounds = 0;             // of the longest of those ways
  bool complete = false;           // all reachable states were seen
  std::string violation;           // empty: none
  std::vector<std::string> trace;  // the events that lead there
};

Report explore(const Scenario& scenario, const Rules& rules = real_rules);

}  // namespace sheath::plan::model
