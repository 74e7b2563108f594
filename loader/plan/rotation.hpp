// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "loader/keys/wireguard_key.hpp"

// The key rotation of IPsec, as seen by one node: from what the node holds, what its kernel has and what its peers
// publish, to the next moves. Pure. A *generation* (1..15, 1 follows 15) is what the key ID in marks and SPIs says; a
// *session* is one node's key pair and SPI tag for one generation; a pair of nodes can use a generation when both
// publish a session for it that is bound to the same pre-shared key (*common*).
//
// A decision needs no memory but what the kernel and the run directory hold: the caller may be killed between any two
// moves, and decides anew. There is no clock state either. A receive state has to outlive the last packets that the
// peer sent before it switched, so a plan that drops one pauses for the reorder allowance first (kPause), after
// everything else; killed meanwhile, the next plan finds the receive state still there and pauses again. A caller that
// must not block does what comes before the pause, and the rest when the allowance is over, if it decided nothing
// since.
//
// What the caller owes:
// - Before the moves, the own sessions and the key ID are published as the view has them.
// - The view is taken in this order: peers' objects, kernel, maps, under the lock that only one process holds.
// - A drawn session is in the run directory before it is published, with the PSK that it is bound to.
// - AddTransmit and AddReceive derive the key from the sessions in the view; kRecord is on disk before SetPolicy.
// - When the maps were lost (`heard`, generation in use) but not the states, the states are flushed first.
namespace sheath::plan {

inline constexpr std::uint8_t kGenerations = 15;

constexpr std::uint8_t next_generation(std::uint8_t generation) {
  return static_cast<std::uint8_t>(generation % kGenerations + 1);
}
constexpr std::uint8_t previous_generation(std::uint8_t generation) {
  return static_cast<std::uint8_t>((generation + kGenerations - 2) % kGenerations + 1);
}
// Of two generations that differ, one is ahead of the other: by 1 to 7 steps.
constexpr bool is_ahead(std::uint8_t generation, std::uint8_t of) {
  const int steps = (generation - of + kGenerations) % kGenerations;
  return steps >= 1 && steps <= kGenerations / 2;
}

// --- the view ------------------------------------------------------------------------------------------------------

struct OwnSession {
  std::uint8_t generation = 0;
  keys::PublicKey public_key;
  std::uint32_t tag = 0;
  std::uint8_t psk_id = 0;              // of the line of the key file that it is bound to
  std::chrono::nanoseconds drawn_at{};  // CLOCK_BOOTTIME
  bool operator==(const OwnSession&) const = default;
};

struct PeerSession {
  std::uint8_t generation = 0;
  keys::PublicKey public_key;
  std::uint32_t tag = 0;
  std::uint8_t psk_id = 0;
  bool operator==(const PeerSession&) const = default;
};

// A receive or transmit state of the pair, as the kernel has it.
struct InstalledState {
  std::uint8_t generation = 0;
  std::uint32_t tag = 0;                    // the sender's, from the SPI
  std::optional<keys::PublicKey> peer_key;  // the peer's session that, with ours, gives this key; nullopt: none does
};

struct InstalledPolicy {
  std::uint8_t generation = 0;
  bool complete = false;  // each pod CIDR pair has one, with the SPI of the present own session; false: some
};

// A pair of sessions whose transmit key may have been used. Of the present own session of that generation.
struct RecordedPair {
  std::uint8_t generation = 0;
  keys::PublicKey peer_key;
};

// A peer that is gone from the cluster, but not from the kernel, has no key ID and no sessions.
struct PeerView {
  std::optional<std::uint8_t> key_id;  // of its key file's key, as published
  std::vector<PeerSession> sessions;   // as published
  std::vector<InstalledState> receive;
  std::vector<InstalledState> transmit;
  std::vector<InstalledPolicy> policies;
  std::vector<RecordedPair> recorded;
  std::uint16_t heard_keys = 0;  // bit g: something came under generation g
  std::uint16_t heard_uses = 0;  // bit g: its data goes under generation g
  std::uint8_t in_use = 0;       // the generation of our data; 0: not ready
  bool sequence_high = false;    // a sequence number nears its end
  bool moved = false;            // a state leads to an address that it has no more, from where this node still is
};

struct RotationTiming {
  std::chrono::nanoseconds key_rotation_duration = std::chrono::minutes(5);
  std::chrono::nanoseconds rotate_every{};  // 0: never
  std::chrono::nanoseconds reorder_allowance = std::chrono::seconds(2);
};

struct RotationView {
  std::string name;                  // of this node
  std::vector<OwnSession> sessions;  // two at most, one generation after the other
  std::uint8_t file_key_id = 0;
  std::set<std::uint8_t> held_psk_ids;  // beside the file's: what the run directory keeps
  std::chrono::nanoseconds now{};       // CLOCK_BOOTTIME
  RotationTiming timing;
  std::map<std::string, PeerView> peers;
};

// --- the decision --------------------------------------------------------------------------------------------------

enum class MoveKind : std::uint8_t {
  kUse,         // data goes under this generation from now on; 0: not ready
  kDropPolicy,  // all of the pair and generation; so are the next two
  kDropTransmit,
  kDropReceive,
  kClearHeard,  // both bits
  kAddReceive,
  kAddTransmit,
  kRecord,
  kSetPolicy,  // adds what is missing, changes what differs, in place
  kProbe,      // says which generation is in use at that moment
};

struct Move {
  MoveKind kind = MoveKind::kUse;
  std::uint8_t generation = 0;
  bool operator==(const Move&) const = default;
};

// A fresh key pair and tag for a generation.
struct Draw {
  std::uint8_t generation = 0;
  std::uint8_t psk_id = 0;
  bool replaces = false;               // the own session of this generation goes
  std::set<std::uint32_t> taken_tags;  // not one of these
  bool operator==(const Draw&) const = default;
};

enum class RotationPhase : std::uint8_t {
  kWaiting,    // no generation in common
  kPublished,  // our newest is published; the peer's is not yet, or its states are not in place
  kInstalled,  // both states are in place
  kProbing,    // everything is in place; the peer was not heard yet
  kSwitched,   // our data goes under the newest; the older is still open for the peer's
  kRetiring,   // the older one is half gone
  kSteady,
};

struct PeerRotation {
  // In order. The first list is for before the programs are switched, the second for after.
  std::vector<Move> additions;
  std::vector<Move> retirements;
  bool pause = false;                             // before a kDropReceive among the retirements
  RotationPhase phase = RotationPhase::kWaiting;  // as the view has it
  std::uint8_t in_use = 0;
  std::uint8_t next = 0;      // the generation that is on its way; 0: none
  std::uint8_t previous = 0;  // the one that is on its way out; 0: none
};

struct RotationDecision {
  // With a draw, the rest of the decision only stops what the draw breaks: decide again once it is published.
  std::optional<Draw> draw;
  std::map<std::string, PeerRotation> peers;
  std::set<std::uint8_t> wipe;      // own generations whose private half goes, after all retirements
  std::set<std::uint8_t> keep_psk;  // what the run directory has to hold of pre-shared keys; others are wiped
  std::vector<std::string> waits;   // for people: "waits for kind-worker2: it has not published key 4"
  std::optional<std::chrono::nanoseconds> deadline;  // after this long, time alone may change the decision
};

RotationDecision decide_rotation(const RotationView& view);

// --- the order -----------------------------------------------------------------------------------------------------

// One step of a plan: a move of one peer, or one of the node.
struct RotationStep {
  enum class Kind : std::uint8_t { kMove, kRecordPairs, kPause, kDraw, kWipe };
  Kind kind = Kind::kMove;
  std::string peer;                                         // kMove
  Move move;                                                // kMove; kWipe: its generation
  Draw draw;                                                // kDraw
  std::vector<std::pair<std::string, std::uint8_t>> pairs;  // kRecordPairs: peer and generation, written at once
  bool operator==(const RotationStep&) const = default;
};

struct RotationSteps {
  std::vector<RotationStep> additions;
  std::vector<RotationStep> retirements;
};

// The decision as two lists across all peers: what stops, then each peer's receive and transmit state, one record,
// policies, what is used, probes, the draw; and, for after the programs: policies, transmit states, one pause, receive
// states, wiping.
RotationSteps flatten(const RotationDecision& decision);

}  // namespace sheath::plan
