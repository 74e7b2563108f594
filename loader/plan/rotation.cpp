// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/rotation.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "loader/plan/rotation_rules.hpp"

namespace sheath::plan {
namespace {

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
  decide_draw(facts, out);
  out.keep_psk = psk_to_keep(facts);
  if (!out.draw) {
    decide_peers(facts, out);
    return out;
  }
  for (const auto& [name, peer] : view.peers) {
    out.peers[name] = stop_peer(facts, name, peer, out.draw->replaces ? out.draw->generation : Generation{0});
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
