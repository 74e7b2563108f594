// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/plan_rotation_model.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <ranges>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace sheath::plan::model {
namespace {

using Pub = std::uint8_t;  // a public key; 0: none
constexpr int kSlots = 3;
constexpr int kFewest = 2;
constexpr int kLast = 4;

// --- the state: bytes only, so that it can be hashed as it lies -----------------------------------------------------

enum Age : std::uint8_t { kFresh, kExpired, kTwiceExpired, kDue };

struct Session {
  std::uint8_t generation = 0;
  Pub pub = 0;
  std::uint8_t psk = 0;
  std::uint8_t age = kFresh;
  std::uint8_t flushed = 0;  // its holder lost states since it was drawn
};

struct Seen {
  std::uint8_t generation = 0;
  Pub pub = 0;
  std::uint8_t psk = 0;
};

// What a key is made of, and so what a state is.
struct Key {
  std::uint8_t generation = 0;
  Pub own = 0;
  Pub peer = 0;
  bool operator==(const Key&) const = default;
};

// A sender may be excused for a state that its receiver lost: until it had a round with the receiver's new object.
enum Excuse : std::uint8_t { kNone, kUnseen, kInRound };

struct Transmit {
  Key key;
  std::uint8_t sent = 0;  // a packet may have left with it
  std::uint8_t excuse = kNone;
};

struct Policy {
  std::uint8_t generation = 0;
  Pub own = 0;
};

struct ProbePacket {
  Key key;
  std::uint8_t uses = 0;
};

// Data that was sent before a switch and may still arrive. `pauses`: bit i, node i began its pause since.
struct Late {
  Key key;
  std::uint8_t pauses = 0;
};

// What a node has of a peer.
struct Side {
  std::array<Key, kSlots> receive{};
  std::array<Transmit, kSlots> transmit{};
  std::array<Policy, kSlots> policies{};
  std::array<Key, kLast> recorded{};
  std::array<Key, kLast> spent{};  // keys of states that have sent and are gone: never again
  std::array<Late, kFewest> late{};
  std::array<Seen, kFewest> seen{};  // the peer's sessions in the view of the round
  ProbePacket probe;                 // on its way to the peer
  std::uint8_t in_use = 0;
  std::uint8_t keys_low = 0, keys_high = 0, uses_low = 0, uses_high = 0;
  std::uint8_t established = 0;  // in use, and no fault since

  std::uint16_t keys() const { return static_cast<std::uint16_t>(keys_low | keys_high << 8); }
  std::uint16_t uses() const { return static_cast<std::uint16_t>(uses_low | uses_high << 8); }
  void set_heard(unsigned keys, unsigned uses) {
    keys_low = static_cast<std::uint8_t>(keys);
    keys_high = static_cast<std::uint8_t>(keys >> 8);
    uses_low = static_cast<std::uint8_t>(uses);
    uses_high = static_cast<std::uint8_t>(uses >> 8);
  }
};

struct Node {
  std::array<Session, kFewest> sessions{};
  std::array<Seen, kFewest> published{};
  std::uint8_t published_key = 0;
  std::uint8_t file = 0;
  std::uint8_t next_publication_key = 0;
  std::uint8_t held_low = 0, held_high = 0;
  std::uint8_t asleep = 0;
  Budget left;
  std::uint8_t plan_low = 0, plan_high = 0, position = 0;  // the moves that are left: plan 0 is empty
  std::array<Side, kMostNodes> sides{};

  int plan() const { return plan_low | plan_high << 8; }
  void set_plan(int plan) {
    plan_low = static_cast<std::uint8_t>(plan);
    plan_high = static_cast<std::uint8_t>(plan >> 8);
    position = 0;
  }
  std::uint16_t held() const { return static_cast<std::uint16_t>(held_low | held_high << 8); }
  void set_held(unsigned held) {
    held_low = static_cast<std::uint8_t>(held);
    held_high = static_cast<std::uint8_t>(held >> 8);
  }
};

struct State {
  std::array<Node, kMostNodes> nodes{};
};
static_assert(alignof(State) == 1 && std::is_trivially_copyable_v<State>, "hashed as bytes");

template <typename Entries>
auto* find(Entries& entries, std::uint8_t generation) {
  const auto found = std::ranges::find_if(entries, [&](const auto& entry) { return entry.generation == generation; });
  return found == entries.end() ? nullptr : &*found;
}

std::uint64_t hash(const void* data, std::size_t size) {
  std::uint64_t value = 0x9e3779b97f4a7c15ULL;
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::uint64_t word = 0;
  for (; size > 0;) {
    const auto take = std::min<std::size_t>(size, sizeof word);
    word = 0;
    std::memcpy(&word, bytes, take);
    value = (value ^ word) * 0xff51afd7ed558ccdULL;
    value ^= value >> 32;
    bytes += take;
    size -= take;
  }
  return value * 0xc4ceb9fe1a85ec53ULL ^ value >> 29;
}

// --- moves as the model keeps them ----------------------------------------------------------------------------------

enum class Op : std::uint8_t { kMove, kRecord, kPauseBegin, kPauseEnd, kDraw, kWipe, kPublish };

struct Todo {
  Op op = Op::kMove;
  MoveKind kind = MoveKind::kUse;
  std::uint8_t peer = 0;
  std::uint8_t generation = 0;
  std::uint8_t psk = 0;
  bool replaces = false;
  std::vector<std::pair<std::uint8_t, std::uint8_t>> pairs;
  auto operator<=>(const Todo&) const = default;
};
using Todos = std::vector<Todo>;

std::string node_name(int node) {
  return "node" + std::to_string(node);
}

constexpr std::array kMoveNames{"use",         "drop policy",  "drop transmit", "drop receive", "clear heard",
                                "add receive", "add transmit", "record",        "set policy",   "probe"};

std::string text_of(const Todo& todo) {
  const auto generation = std::to_string(todo.generation);
  switch (todo.op) {
    case Op::kMove:
      return std::string(kMoveNames.at(static_cast<std::size_t>(todo.kind))) + " " + generation + " for " +
             node_name(todo.peer);
    case Op::kRecord:
      return "record " + std::to_string(todo.pairs.size()) + " pairs";
    case Op::kPauseBegin:
      return "pause begins";
    case Op::kPauseEnd:
      return "pause ends";
    case Op::kDraw:
      return "draw " + generation + " with key " + std::to_string(todo.psk) + (todo.replaces ? " again" : "");
    case Op::kWipe:
      return "wipe " + generation;
    case Op::kPublish:
      return "publish";
  }
  return {};
}

enum class EventKind : std::uint8_t {
  kStart,
  kStep,
  kDie,
  kReboot,
  kFlush,
  kFile,
  kDue,
  kSleep,
  kWake,
  kExpire,
  kProbe,
  kData,
  kLateData
};
constexpr std::array kEventNames{"starts a round",
                                 "does",
                                 "dies",
                                 "reboots",
                                 "loses its states",
                                 "gets the next key file",
                                 "is due to rotate",
                                 "sleeps",
                                 "wakes",
                                 "sees the duration pass",
                                 "gets a probe from",
                                 "gets data from",
                                 "gets late data from"};

struct Event {
  EventKind kind = EventKind::kStart;
  std::uint8_t node = 0;
  std::uint8_t other = 0;  // of packets: the sender
  std::uint8_t index = 0;
};

constexpr std::chrono::hours kNow{1000};
constexpr std::chrono::hours kRotateEvery{8};
constexpr std::array<std::chrono::minutes, 4> kAges{std::chrono::minutes{0}, std::chrono::minutes{6},
                                                    std::chrono::minutes{11}, std::chrono::minutes{540}};

keys::PublicKey key_of(Pub pub) {
  keys::PublicKey key;
  key.bytes[0] = pub;
  key.bytes[31] = 1;
  return key;
}

// --- the cluster ----------------------------------------------------------------------------------------------------

class Cluster {
 public:
  Cluster(const Scenario& scenario, const Rules& rules) : scenario_(scenario), rules_(rules) {
    plans_.emplace_back();
    for (int i = 0; i < nodes(); ++i) {
      for (int j = 0; j < nodes(); ++j) {
        if (i != j) pairs_.emplace_back(i, j);
      }
    }
  }

  const std::string& violation() const { return violation_; }
  State& state() { return state_; }
  int nodes() const { return scenario_.nodes; }

  State booted() {
    state_ = {};
    for (int i = 0; i < nodes(); ++i) {
      at(i).file = scenario_.file_key_id;
      for (int steps = i == 0 ? 0 : scenario_.files_apart; steps > 0; --steps) at(i).file = next_generation(at(i).file);
    }
    return state_;
  }
  void allow(const std::array<Budget, kMostNodes>& budgets) {
    for (int i = 0; i < nodes(); ++i) at(i).left = budgets.at(static_cast<std::size_t>(i));
  }

  std::vector<Event> events() const;
  // Does the event to the state, and checks what must hold. False: a violation.
  bool happen(const Event& event);
  std::string text_of(const Event& event) const;

  // Keys get the numbers of their first appearance; keys that only history names are forgotten.
  void normalise();

  // Everybody awake, all key files the same, no more faults: how many rounds until all is steady; -1: never.
  int rounds_to_the_end(std::unordered_set<std::uint64_t>& good);
  // Of what happens from now on, in words.
  void keep_log() { log_.emplace(); }
  const std::vector<std::string>& log() const { return *log_; }
  bool quiet() const {
    return std::ranges::all_of(state_.nodes, [](const Node& node) { return node.plan() == 0; });
  }

 private:
  Node& at(int node) { return state_.nodes[static_cast<std::size_t>(node)]; }
  const Node& at(int node) const { return state_.nodes[static_cast<std::size_t>(node)]; }
  Side& side(int node, int peer) { return at(node).sides[static_cast<std::size_t>(peer)]; }
  const Side& side(int node, int peer) const { return at(node).sides[static_cast<std::size_t>(peer)]; }

  template <typename Visit>
  void each_pub(Visit visit);
  bool fail(const std::string& what) {
    if (violation_.empty()) violation_ = what;
    return false;
  }

  const Todo* next(int node) const {
    return at(node).plan() == 0 ? nullptr : &plans_[static_cast<std::size_t>(at(node).plan())][at(node).position];
  }
  bool local(int node) const;
  bool goes_on(int node) const;
  bool may_expire(int node) const;
  bool leaves(int node, std::uint8_t generation) const;
  void packet_events(int node, std::vector<Event>& out) const;

  RotationView view_of(int node) const;
  PeerView peer_view(int node, int peer) const;
  bool is_present(int node, std::uint8_t generation, Pub own) const;
  InstalledState present(int node, const Key& key, Pub tag) const;
  void start(int node);
  int plan_number(int node);
  bool step(int node);
  bool move(int node, const Todo& todo);
  bool add_receive(int node, const Todo& todo);
  bool add_transmit(int node, const Todo& todo);
  void drop_transmit(Side& from, std::uint8_t generation);
  bool drop_receive(int node, int peer, std::uint8_t generation);
  bool draw(int node, const Todo& todo);
  void record(int node, const Todo& todo);
  void publish(int node);
  void pause(int node, bool begins);
  void finish(int node);

  void lose_states(int node);
  void forget_pair(int node, int other);
  void reboot(int node);
  void excuse_senders_to(int node);
  void expire(int node);

  // The transmit state that a packet with the mark of this generation finds.
  static const Transmit* usable(const Side& from, std::uint8_t generation);
  const Transmit* sending(int node, int peer) const;
  bool receives(int node, int peer, const Key& sent) const;
  void hear(int node, int peer, unsigned keys, unsigned uses);
  void hear_all();
  // A key for each of `pairs_`.
  using Sent = std::array<Key, static_cast<std::size_t>(kMostNodes*(kMostNodes - 1))>;
  Sent arriving() const;
  void note_late(const Sent& before);
  bool change(const Event& event);
  void die(int node);
  void arrive(const Event& event);

  static std::string pair_name(int from, int to) { return node_name(from) + " to " + node_name(to); }
  bool check();
  bool check_sender(int from, int to);
  bool found_again(int from, int to, const Key& key) const;
  bool serves(int from, int to) const;
  bool steady() const;
  bool run_one_round();
  bool deliver_probes(std::uint8_t from);

  const Scenario& scenario_;
  const Rules& rules_;
  std::vector<std::pair<int, int>> pairs_;  // sender and receiver
  State state_;
  std::string violation_;
  std::optional<std::vector<std::string>> log_;
  std::vector<Todos> plans_;
  std::map<Todos, int> plan_numbers_;
  struct Decided {
    int plan = 0;
    std::uint16_t keep = 0;
  };
  std::unordered_map<std::uint64_t, Decided> decided_;
};

template <typename Visit>
void Cluster::each_pub(Visit visit) {
  for (auto& node : state_.nodes) {
    for (auto& session : node.sessions) visit(session.pub);
    for (auto& session : node.published) visit(session.pub);
    for (auto& side : node.sides) {
      for (auto& session : side.seen) visit(session.pub);
      for (auto& key : side.receive) visit(key.own), visit(key.peer);
      for (auto& state : side.transmit) visit(state.key.own), visit(state.key.peer);
      for (auto& policy : side.policies) visit(policy.own);
      for (auto& late : side.late) visit(late.key.own), visit(late.key.peer);
      visit(side.probe.key.own);
      visit(side.probe.key.peer);
    }
  }
}

template <typename Entries, typename Keep>
void compact(Entries& entries, Keep keep) {
  std::size_t kept = 0;
  for (auto& entry : entries) {
    if (keep(entry)) entries[kept++] = entry;
  }
  for (; kept < entries.size(); ++kept) entries[kept] = {};
}

void Cluster::normalise() {
  std::array<Pub, 256> names{};
  Pub next = 0;
  each_pub([&](Pub& pub) {
    if (pub != 0 && names[pub] == 0) names[pub] = ++next;
    pub = names[pub];
  });
  const auto known = [&](Key& key) {
    key.own = names[key.own];
    key.peer = names[key.peer];
    return key.own != 0 && key.peer != 0;
  };
  for (auto& node : state_.nodes) {
    for (auto& side : node.sides) {
      compact(side.recorded, known);
      compact(side.spent, known);
    }
  }
}

// --- packets --------------------------------------------------------------------------------------------------------

const Transmit* Cluster::usable(const Side& from, std::uint8_t generation) {
  if (generation == 0) return nullptr;
  for (const auto& policy : from.policies) {
    if (policy.generation != generation) continue;
    for (const auto& state : from.transmit) {
      if (state.key.generation == generation && state.key.own == policy.own) return &state;
    }
  }
  return nullptr;
}

// The state that data goes through now.
const Transmit* Cluster::sending(int node, int peer) const {
  return usable(side(node, peer), side(node, peer).in_use);
}

bool Cluster::receives(int node, int peer, const Key& sent) const {
  const Key wanted{sent.generation, sent.peer, sent.own};
  return std::ranges::find(side(node, peer).receive, wanted) != side(node, peer).receive.end();
}

void Cluster::hear(int node, int peer, unsigned keys, unsigned uses) {
  auto& to = side(node, peer);
  to.set_heard(to.keys() | keys, to.uses() | uses);
}

void Cluster::hear_all() {
  for (const auto& [i, j] : pairs_) {
    const auto* state = sending(i, j);
    if (state == nullptr || !receives(j, i, state->key)) continue;
    hear(j, i, 1U << state->key.generation, 1U << state->key.generation);
  }
}

// --- rounds and moves -----------------------------------------------------------------------------------------------

RotationView Cluster::view_of(int number) const {
  const auto& node = at(number);
  RotationView view;
  view.name = node_name(number);
  view.file_key_id = node.file;
  view.now = kNow;
  view.timing.rotate_every = kRotateEvery;
  for (std::uint8_t id = 1; id < 16; ++id) {
    if ((node.held() >> id & 1) != 0) view.held_psk_ids.insert(id);
  }
  for (const auto& session : node.sessions) {
    if (session.generation == 0) continue;
    view.sessions.push_back(
        {session.generation, key_of(session.pub), session.pub, session.psk, view.now - kAges.at(session.age)});
  }
  for (int j = 0; j < nodes(); ++j) {
    if (j != number) view.peers[node_name(j)] = peer_view(number, j);
  }
  return view;
}

// A peer's object, and what the kernel and the run directory have of it.
PeerView Cluster::peer_view(int number, int j) const {
  PeerView peer;
  const auto& from = side(number, j);
  if (at(j).published_key != 0) peer.key_id = at(j).published_key;
  for (const auto& session : at(j).published) {
    if (session.generation == 0) continue;
    peer.sessions.push_back({session.generation, key_of(session.pub), session.pub, session.psk});
  }
  for (const auto& key : from.receive) {
    if (key.generation != 0) peer.receive.push_back(present(number, key, key.peer));
  }
  for (const auto& state : from.transmit) {
    if (state.key.generation != 0) peer.transmit.push_back(present(number, state.key, state.key.own));
  }
  for (const auto& policy : from.policies) {
    if (policy.generation != 0) {
      peer.policies.push_back({policy.generation, is_present(number, policy.generation, policy.own)});
    }
  }
  for (const auto& key : from.recorded) {
    if (key.generation != 0 && is_present(number, key.generation, key.own)) {
      peer.recorded.push_back({key.generation, key_of(key.peer)});
    }
  }
  peer.heard_keys = from.keys();
  peer.heard_uses = from.uses();
  peer.in_use = from.in_use;
  return peer;
}

bool Cluster::is_present(int number, std::uint8_t generation, Pub own) const {
  const auto* session = find(at(number).sessions, generation);
  return session != nullptr && session->pub == own;
}

InstalledState Cluster::present(int number, const Key& key, Pub tag) const {
  if (!is_present(number, key.generation, key.own)) return {key.generation, tag, std::nullopt};
  return {key.generation, tag, key_of(key.peer)};
}

std::uint64_t hash_of(const RotationView& view) {
  std::vector<std::uint8_t> bytes;
  std::array<std::uint8_t, 256> names{};
  std::uint8_t next = 0;
  const auto byte = [&](auto value) { bytes.push_back(static_cast<std::uint8_t>(value)); };
  const auto key = [&](const keys::PublicKey& public_key) {
    auto& name = names[public_key.bytes[0]];
    if (name == 0) name = ++next;
    byte(name);
  };
  byte(view.name.back());
  byte(view.file_key_id);
  for (const auto id : view.held_psk_ids) byte(id);
  for (const auto& session : view.sessions) {
    byte(0xf1);
    byte(session.generation);
    key(session.public_key);
    byte(session.psk_id);
    byte((view.now - session.drawn_at) / std::chrono::minutes(1) / 3);
  }
  for (const auto& [name, peer] : view.peers) {
    byte(0xf2);
    byte(peer.key_id.value_or(0));
    for (const auto& session : peer.sessions) byte(session.generation), key(session.public_key), byte(session.psk_id);
    for (const auto* states : {&peer.receive, &peer.transmit}) {
      byte(0xf3);
      for (const auto& state : *states) {
        byte(state.generation);
        if (state.peer_key) {
          key(*state.peer_key);
        } else {
          byte(0xf4);
        }
      }
    }
    byte(0xf5);
    for (const auto& policy : peer.policies) byte(policy.generation), byte(policy.complete);
    byte(0xf6);
    for (const auto& pair : peer.recorded) byte(pair.generation), key(pair.peer_key);
    byte(0xf7);
    byte(peer.heard_keys), byte(peer.heard_keys >> 8), byte(peer.heard_uses), byte(peer.heard_uses >> 8);
    byte(peer.in_use);
  }
  return hash(bytes.data(), bytes.size());
}

Todos todos_of(const Planned& planned) {
  Todos out;
  for (const auto* list : {&planned.steps.additions, &planned.steps.retirements}) {
    for (const auto& step : *list) {
      Todo todo;
      todo.kind = step.move.kind;
      todo.generation = step.move.generation;
      if (!step.peer.empty()) todo.peer = static_cast<std::uint8_t>(step.peer.back() - '0');
      switch (step.kind) {
        case RotationStep::Kind::kMove:
          break;
        case RotationStep::Kind::kRecordPairs:
          todo.op = Op::kRecord;
          for (const auto& [name, generation] : step.pairs) {
            todo.pairs.emplace_back(static_cast<std::uint8_t>(name.back() - '0'), generation);
          }
          break;
        case RotationStep::Kind::kPause:
          out.push_back({.op = Op::kPauseBegin, .pairs = {}});
          todo.op = Op::kPauseEnd;
          break;
        case RotationStep::Kind::kDraw:
          todo.op = Op::kDraw;
          todo.generation = step.draw.generation;
          todo.psk = step.draw.psk_id;
          todo.replaces = step.draw.replaces;
          break;
        case RotationStep::Kind::kWipe:
          todo.op = Op::kWipe;
          break;
      }
      out.push_back(std::move(todo));
    }
  }
  return out;
}

bool same(const std::array<Session, kFewest>& sessions, const std::array<Seen, kFewest>& published) {
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    if (sessions[i].generation != published[i].generation || sessions[i].pub != published[i].pub) return false;
  }
  return true;
}

void Cluster::start(int number) {
  auto& node = at(number);
  node.set_held(node.held() | 1U << node.file);
  node.next_publication_key = node.file;
  for (int j = 0; j < nodes(); ++j) {
    if (j == number) continue;
    auto& from = side(number, j);
    from.seen = at(j).published;
    for (auto& state : from.transmit) {
      if (state.excuse == kNone) continue;
      const bool gone = std::ranges::none_of(from.seen, [&](const Seen& seen) { return seen.pub == state.key.peer; });
      state.excuse = gone ? kInRound : kUnseen;
    }
  }
  node.set_plan(plan_number(number));
  if (node.plan() == 0) finish(number);
}

int Cluster::plan_number(int number) {
  auto& node = at(number);
  const auto view = view_of(number);
  const bool publishes = !same(node.sessions, node.published) || node.published_key != node.file;
  const auto memo = hash_of(view) * 2 + (publishes ? 1 : 0);
  const auto known = decided_.find(memo);
  if (known != decided_.end()) {
    node.set_held(node.held() & known->second.keep);
    return known->second.plan;
  }
  const auto planned = rules_(view);
  auto todos = todos_of(planned);
  if (publishes) todos.insert(todos.begin(), {.op = Op::kPublish, .pairs = {}});
  Decided decided;
  for (const auto id : planned.keep_psk) decided.keep = static_cast<std::uint16_t>(decided.keep | 1U << id);
  if (!todos.empty()) {
    const auto [entry, is_new] = plan_numbers_.try_emplace(todos, static_cast<int>(plans_.size()));
    if (is_new) plans_.push_back(todos);
    decided.plan = entry->second;
  }
  decided_[memo] = decided;
  node.set_held(node.held() & decided.keep);
  return decided.plan;
}

void Cluster::finish(int number) {
  auto& node = at(number);
  node.set_plan(0);
  for (auto& from : node.sides) {
    from.seen = {};
    for (auto& state : from.transmit) {
      if (state.excuse == kInRound) state.excuse = kNone;
    }
  }
}

bool Cluster::step(int number) {
  auto& node = at(number);
  const auto plan = static_cast<std::size_t>(node.plan());
  const auto todo = plans_[plan][node.position];
  bool good = true;
  switch (todo.op) {
    case Op::kMove:
      good = move(number, todo);
      break;
    case Op::kRecord:
      record(number, todo);
      break;
    case Op::kPauseBegin:
    case Op::kPauseEnd:
      pause(number, todo.op == Op::kPauseBegin);
      break;
    case Op::kDraw:
      good = draw(number, todo);
      break;
    case Op::kWipe:
      compact(node.sessions,
              [&](const Session& session) { return session.generation != 0 && session.generation != todo.generation; });
      break;
    case Op::kPublish:
      publish(number);
      break;
  }
  if (++node.position == plans_[plan].size()) finish(number);
  return good;
}

void Cluster::publish(int number) {
  auto& node = at(number);
  for (std::size_t i = 0; i < node.sessions.size(); ++i) {
    const auto& session = node.sessions[i];
    node.published[i] = {session.generation, session.pub, session.psk};
  }
  node.published_key = node.next_publication_key;
}

Pub fresh_pub(const std::array<bool, 256>& used) {
  Pub pub = 1;
  while (used[pub]) ++pub;
  return pub;
}

bool Cluster::draw(int number, const Todo& todo) {
  std::array<bool, 256> used{};
  used[0] = true;
  each_pub([&](const Pub& pub) { used[pub] = true; });
  for (const auto& node : state_.nodes) {
    for (const auto& side : node.sides) {
      for (const auto& key : side.recorded) used[key.own] = used[key.peer] = true;
      for (const auto& key : side.spent) used[key.own] = used[key.peer] = true;
    }
  }
  auto& sessions = at(number).sessions;
  const Session drawn{todo.generation, fresh_pub(used), todo.psk, kFresh, 0};
  if ((at(number).held() >> todo.psk & 1) == 0) return fail("a session is bound to a key that is not held");
  if (auto* old = find(sessions, todo.generation); old != nullptr) {
    if (!todo.replaces) return fail("a session is drawn that exists");
    *old = drawn;
    excuse_senders_to(number);
    for (int j = 0; j < nodes(); ++j) forget_pair(number, j);
    return true;
  }
  auto* free = find(sessions, 0);
  if (free == nullptr) return fail("three generations of own sessions");
  if (free != sessions.data() && next_generation(sessions[0].generation) != todo.generation) {
    return fail("two generations that do not follow each other");
  }
  *free = drawn;
  return true;
}

void Cluster::record(int number, const Todo& todo) {
  for (const auto& [peer, generation] : todo.pairs) {
    auto& from = side(number, peer);
    const auto* own = find(at(number).sessions, generation);
    const auto* other = find(from.seen, generation);
    const Key key{generation, own->pub, other->pub};
    if (std::ranges::find(from.recorded, key) != from.recorded.end()) continue;
    auto* free = find(from.recorded, 0);
    if (free == nullptr) {
      fail("the model's record is full");
      return;
    }
    *free = key;
  }
}

void Cluster::pause(int number, bool begins) {
  const auto bit = static_cast<std::uint8_t>(1U << number);
  for (auto& node : state_.nodes) {
    for (auto& from : node.sides) {
      if (begins) {
        for (auto& late : from.late) {
          if (late.key.generation != 0) late.pauses |= bit;
        }
      } else {
        compact(from.late, [&](const Late& late) { return late.key.generation != 0 && (late.pauses & bit) == 0; });
      }
    }
  }
}

bool Cluster::move(int number, const Todo& todo) {
  auto& from = side(number, todo.peer);
  const auto generation = todo.generation;
  switch (todo.kind) {
    case MoveKind::kUse:
      from.in_use = generation;
      return true;
    case MoveKind::kDropPolicy:
      compact(from.policies,
              [&](const Policy& policy) { return policy.generation != 0 && policy.generation != generation; });
      return true;
    case MoveKind::kDropTransmit:
      drop_transmit(from, generation);
      return true;
    case MoveKind::kDropReceive:
      return drop_receive(number, todo.peer, generation);
    case MoveKind::kClearHeard:
      from.set_heard(from.keys() & ~(1U << generation), from.uses() & ~(1U << generation));
      return true;
    case MoveKind::kAddReceive:
      return add_receive(number, todo);
    case MoveKind::kAddTransmit:
      return add_transmit(number, todo);
    case MoveKind::kRecord:
      return fail("a record of one pair in a plan");
    case MoveKind::kSetPolicy: {
      auto* policy = find(from.policies, generation);
      if (policy == nullptr) policy = find(from.policies, 0);
      if (policy == nullptr) return fail("more than three generations of policies");
      *policy = {generation, find(at(number).sessions, generation)->pub};
      for (auto& state : from.transmit) {
        if (state.key.generation == generation && state.key.own == policy->own) state.sent = 1;
      }
      return true;
    }
    case MoveKind::kProbe:
      if (const auto* state = usable(from, generation)) from.probe = {state->key, from.in_use};
      return true;
  }
  return false;
}

bool Cluster::add_receive(int number, const Todo& todo) {
  auto& from = side(number, todo.peer);
  const auto* own = find(at(number).sessions, todo.generation);
  const auto* other = find(from.seen, todo.generation);
  if (own == nullptr || other == nullptr) return fail("a receive state without a session");
  const Key key{todo.generation, own->pub, other->pub};
  for (const auto& state : from.receive) {
    if (state.generation == key.generation && state.peer == key.peer) return fail("a receive state that exists");
  }
  auto* free = find(from.receive, 0);
  if (free == nullptr) return fail("more than three receive states");
  if (((from.keys() | from.uses()) >> todo.generation & 1) != 0) return fail("heard before there was a state");
  *free = key;
  return true;
}

bool Cluster::add_transmit(int number, const Todo& todo) {
  auto& from = side(number, todo.peer);
  const auto* own = find(at(number).sessions, todo.generation);
  const auto* other = find(from.seen, todo.generation);
  if (own == nullptr || other == nullptr) return fail("a transmit state without a session");
  const Key key{todo.generation, own->pub, other->pub};
  for (const auto& state : from.transmit) {
    if (state.key.generation == key.generation && state.key.own == key.own) return fail("a transmit state that exists");
  }
  if (std::ranges::find(from.spent, key) != from.spent.end()) return fail("a key starts counting twice");
  const auto free =
      std::ranges::find_if(from.transmit, [](const Transmit& state) { return state.key.generation == 0; });
  if (free == from.transmit.end()) return fail("more than three transmit states");
  *free = {key, 0, kNone};
  if (usable(from, todo.generation) == &*free) free->sent = 1;
  // The peer lost its states, and its object says nothing of it yet.
  const bool lives = std::ranges::any_of(
      at(todo.peer).sessions, [&](const Session& session) { return session.pub == key.peer && session.flushed == 0; });
  if (!lives || leaves(todo.peer, todo.generation)) free->excuse = kUnseen;
  return true;
}

void Cluster::drop_transmit(Side& from, std::uint8_t generation) {
  for (auto& state : from.transmit) {
    if (state.key.generation != generation) continue;
    if (state.sent != 0) {
      auto* free = find(from.spent, 0);
      if (free == nullptr) {
        fail("the model's list of spent keys is full");
        return;
      }
      *free = state.key;
    }
    state = {};
  }
  compact(from.transmit, [](const Transmit& state) { return state.key.generation != 0; });
}

bool Cluster::drop_receive(int number, int peer, std::uint8_t generation) {
  auto& to = side(number, peer);
  bool lost = false;
  for (const auto& key : to.receive) {
    if (key.generation != generation || key.generation == 0) continue;
    const Key sent{generation, key.peer, key.own};
    const auto& late = side(peer, number).late;
    lost |= std::ranges::any_of(late, [&](const Late& packet) { return packet.key == sent; });
  }
  if (lost) return fail(node_name(number) + " drops a receive state before the last data came");
  compact(to.receive, [&](const Key& key) { return key.generation != 0 && key.generation != generation; });
  return true;
}

// --- faults ---------------------------------------------------------------------------------------------------------

void Cluster::excuse_senders_to(int number) {
  for (int j = 0; j < nodes(); ++j) {
    if (j == number) continue;
    for (auto& state : side(j, number).transmit) {
      if (state.key.generation != 0) state.excuse = kUnseen;
    }
  }
}

void Cluster::lose_states(int number) {
  excuse_senders_to(number);
  for (auto& session : at(number).sessions) {
    if (session.generation != 0) session.flushed = 1;
  }
  for (int j = 0; j < nodes(); ++j) {
    if (j == number) continue;
    auto& from = side(number, j);
    for (std::uint8_t generation = 1; generation <= kGenerations; ++generation) drop_transmit(from, generation);
    from.receive = {};
    forget_pair(number, j);
  }
}

// A fault: what the two have sent may be lost, and they have to find each other anew.
void Cluster::forget_pair(int number, int other) {
  for (auto* one : {&side(number, other), &side(other, number)}) {
    one->established = 0;
    one->late = {};
  }
}

void Cluster::reboot(int number) {
  lose_states(number);
  auto& node = at(number);
  node.sessions = {};
  node.set_held(0);
  node.set_plan(0);
  for (auto& from : node.sides) {
    const auto probe = from.probe;
    from = {};
    from.probe = probe;
  }
}

// A node that slept through it may find that the others left it behind.
void Cluster::expire(int number) {
  for (auto& session : at(number).sessions) {
    if (session.generation != 0 && session.age < kTwiceExpired) ++session.age;
  }
  for (int j = 0; j < nodes(); ++j) {
    if (j == number) continue;
    const bool left_behind = at(j).asleep != 0 || at(number).asleep != 0;
    if (!left_behind) continue;
    forget_pair(number, j);
    for (auto* one : {&side(number, j), &side(j, number)}) {
      for (auto& state : one->transmit) {
        if (state.key.generation != 0) state.excuse = kUnseen;
      }
    }
  }
}

// The node waits no more for those that still use its older generation.
bool Cluster::leaves(int number, std::uint8_t generation) const {
  const auto& sessions = at(number).sessions;
  return sessions[1].generation != 0 && sessions[1].age >= kExpired && sessions[0].generation == generation;
}

// Five minutes are many rounds: whoever is awake and shares something with us has switched by then.
bool Cluster::may_expire(int number) const {
  const auto& node = at(number);
  if (node.left.expiries == 0 || node.sessions[0].generation == 0) return false;
  const bool two = node.sessions[1].generation != 0;
  const auto newest = node.sessions[two ? 1 : 0].generation;
  for (int j = 0; j < nodes(); ++j) {
    if (j == number || at(j).asleep != 0 || node.asleep != 0) continue;
    if (!two || at(j).published[0].generation == 0) continue;
    if (side(number, j).in_use != newest || side(j, number).in_use != newest) return false;
    if (side(j, number).late[0].key.generation != 0) return false;
  }
  return true;
}

// --- events ---------------------------------------------------------------------------------------------------------

// Nobody but the node itself can notice the move, so in which order it happens with what others do makes no difference.
bool Cluster::local(int number) const {
  const auto* todo = next(number);
  if (todo == nullptr) return false;
  switch (todo->op) {
    case Op::kDraw:
    case Op::kWipe:
    case Op::kRecord:
      return true;
    case Op::kMove:
      break;
    default:
      return false;
  }
  const auto in_use = side(number, todo->peer).in_use;
  switch (todo->kind) {
    case MoveKind::kAddTransmit:
    case MoveKind::kSetPolicy:
    case MoveKind::kDropPolicy:
    case MoveKind::kDropTransmit:
      return todo->generation != in_use;
    default:
      return false;
  }
}

void Cluster::packet_events(int number, std::vector<Event>& out) const {
  const auto to = static_cast<std::uint8_t>(number);
  for (int j = 0; j < nodes(); ++j) {
    if (j == number) continue;
    const auto from = static_cast<std::uint8_t>(j);
    const auto& packets = side(j, number);
    if (receives(number, j, packets.probe.key) && packets.probe.key.generation != 0) {
      out.push_back({EventKind::kProbe, to, from, 0});
    }
    const auto news = [&](std::uint8_t generation) {
      return !scenario_.coarse && ((side(number, j).keys() & side(number, j).uses()) >> generation & 1) == 0;
    };
    if (const auto* state = sending(j, number); state != nullptr && receives(number, j, state->key)) {
      if (news(state->key.generation)) out.push_back({EventKind::kData, to, from, 0});
    }
    for (std::size_t i = 0; i < packets.late.size(); ++i) {
      const auto& key = packets.late[i].key;
      if (key.generation != 0 && receives(number, j, key) && news(key.generation)) {
        out.push_back({EventKind::kLateData, to, from, static_cast<std::uint8_t>(i)});
      }
    }
  }
}

// In a coarse search: the last move and the next are one event.
bool Cluster::goes_on(int number) const {
  const auto* todo = next(number);
  if (todo == nullptr) return false;
  const auto& last =
      plans_[static_cast<std::size_t>(at(number).plan())][static_cast<std::size_t>(at(number).position - 1)];
  if (last.op == todo->op && last.kind == todo->kind) return true;
  return todo->op == Op::kMove && (todo->kind == MoveKind::kClearHeard || local(number));
}

std::vector<Event> Cluster::events() const {
  std::vector<Event> out;
  for (int i = 0; i < nodes(); ++i) {
    const auto& left = at(i).left;
    const auto number = static_cast<std::uint8_t>(i);
    if (local(i) && left.reboots == 0 && left.flushes == 0) {
      if (scenario_.coarse) return {{EventKind::kStep, number, 0, 0}};
      return {{EventKind::kStep, number, 0, 0}, {EventKind::kDie, number, 0, 0}};
    }
  }
  const auto busy_nodes = std::ranges::count_if(state_.nodes, [](const Node& node) { return node.plan() != 0; });
  for (int i = 0; i < nodes(); ++i) {
    const auto& node = at(i);
    const auto add = [&](bool may, EventKind kind) {
      if (may) out.push_back({kind, static_cast<std::uint8_t>(i), 0, 0});
    };
    const bool awake = node.asleep == 0;
    const bool busy = node.plan() != 0;
    add(awake && !busy && busy_nodes < scenario_.most_busy, EventKind::kStart);
    add(busy, EventKind::kStep);
    add(busy && (!scenario_.coarse || node.left.deaths > 0), EventKind::kDie);
    add(node.left.reboots > 0, EventKind::kReboot);
    add(node.left.flushes > 0, EventKind::kFlush);
    add(node.left.file_changes > 0, EventKind::kFile);
    add(node.left.rotations > 0 && node.sessions[0].generation != 0 && node.sessions[1].generation == 0,
        EventKind::kDue);
    add(node.left.sleeps > 0 && awake && !busy, EventKind::kSleep);
    add(!awake, EventKind::kWake);
    add(may_expire(i), EventKind::kExpire);
    packet_events(i, out);
  }
  return out;
}

std::string Cluster::text_of(const Event& event) const {
  std::string text = node_name(event.node) + " " + kEventNames.at(static_cast<std::size_t>(event.kind));
  if (event.kind == EventKind::kStep) text += ": " + model::text_of(*next(event.node));
  if (event.kind >= EventKind::kProbe) text += " " + node_name(event.other);
  return text;
}

bool Cluster::happen(const Event& event) {
  if (log_) log_->push_back(text_of(event));
  if (scenario_.coarse && event.kind != EventKind::kProbe) {
    for (auto& one : state_.nodes) {
      for (auto& from : one.sides) from.probe = {};
    }
  }
  do {
    const auto before = arriving();
    if (!change(event)) return false;
    if (scenario_.coarse && scenario_.traffic) hear_all();
    if (event.kind != EventKind::kReboot && event.kind != EventKind::kFlush) note_late(before);
    if (!check()) return false;
  } while (scenario_.coarse && event.kind == EventKind::kStep && goes_on(event.node));
  return true;
}

// What each node sends to each that has nothing to excuse it, and arrives.
Cluster::Sent Cluster::arriving() const {
  Sent sent{};
  for (std::size_t pair = 0; pair < pairs_.size(); ++pair) {
    const auto [i, j] = pairs_[pair];
    const auto* state = sending(i, j);
    if (state != nullptr && state->excuse == kNone && receives(j, i, state->key)) sent[pair] = state->key;
  }
  return sent;
}

// Where that has changed, the last packets may still be on their way.
void Cluster::note_late(const Sent& before) {
  for (std::size_t pair = 0; pair < pairs_.size(); ++pair) {
    const auto [i, j] = pairs_[pair];
    const auto& key = before[pair];
    const auto* state = sending(i, j);
    if (key.generation == 0 || (state != nullptr && state->key == key) || leaves(j, key.generation)) continue;
    auto& late = side(i, j).late;
    if (late[1].key.generation != 0) late[0] = std::exchange(late[1], {});
    late[late[0].key.generation == 0 ? 0 : 1] = {key, 0};
  }
}

bool Cluster::change(const Event& event) {
  auto& node = at(event.node);
  switch (event.kind) {
    case EventKind::kStart:
      start(event.node);
      return true;
    case EventKind::kStep:
      return step(event.node);
    case EventKind::kDie:
      die(event.node);
      return true;
    case EventKind::kReboot:
      --node.left.reboots;
      reboot(event.node);
      return true;
    case EventKind::kFlush:
      --node.left.flushes;
      lose_states(event.node);
      return true;
    case EventKind::kFile:
      --node.left.file_changes;
      node.file = next_generation(node.file);
      return true;
    case EventKind::kDue:
      --node.left.rotations;
      node.sessions[0].age = kDue;
      return true;
    case EventKind::kSleep:
      --node.left.sleeps;
      node.asleep = 1;
      return true;
    case EventKind::kWake:
      node.asleep = 0;
      return true;
    case EventKind::kExpire:
      --node.left.expiries;
      expire(event.node);
      return true;
    case EventKind::kProbe:
    case EventKind::kData:
    case EventKind::kLateData:
      arrive(event);
      return true;
  }
  return false;
}

void Cluster::die(int number) {
  auto& node = at(number);
  if (node.left.deaths > 0) --node.left.deaths;
  for (auto& from : node.sides) {
    from.seen = {};
    for (auto& state : from.transmit) {
      if (state.excuse == kInRound) state.excuse = kUnseen;
    }
  }
  node.set_plan(0);
}

void Cluster::arrive(const Event& event) {
  auto& from = side(event.other, event.node);
  if (event.kind == EventKind::kProbe) {
    const auto probe = std::exchange(from.probe, {});
    return hear(event.node, event.other, 1U << probe.key.generation, probe.uses == 0 ? 0U : 1U << probe.uses);
  }
  const bool late = event.kind == EventKind::kLateData;
  const auto& key = late ? from.late.at(event.index).key : sending(event.other, event.node)->key;
  hear(event.node, event.other, 1U << key.generation, 1U << key.generation);
}

// --- what must hold -------------------------------------------------------------------------------------------------

bool Cluster::check() {
  for (const auto& [i, j] : pairs_) {
    if (!check_sender(i, j)) return false;
  }
  for (const auto& [i, j] : pairs_) {
    if (i < j && serves(i, j) && serves(j, i)) side(i, j).established = side(j, i).established = 1;
  }
  return true;
}

bool Cluster::check_sender(int i, int j) {
  auto& from = side(i, j);
  const auto* state = sending(i, j);
  const bool arrives = state != nullptr && receives(j, i, state->key);
  if (state != nullptr && !arrives && state->excuse == kNone) {
    return fail(pair_name(i, j) + ": data is sent that cannot be received, under " + std::to_string(from.in_use));
  }
  if (from.established != 0 && !arrives) return fail(pair_name(i, j) + ": was in use, and is not any more");
  for (auto& transmit : from.transmit) {
    if (transmit.excuse == kUnseen && found_again(i, j, transmit.key)) transmit.excuse = kNone;
    if (transmit.key.generation == 0 || transmit.sent == 0) continue;
    const bool recorded = std::ranges::find(from.recorded, transmit.key) != from.recorded.end();
    if (!recorded && is_present(i, transmit.key.generation, transmit.key.own)) {
      return fail(pair_name(i, j) + ": a key is used before it is recorded");
    }
  }
  return true;
}

// The receiver has the state after all, and means to keep it.
bool Cluster::found_again(int i, int j, const Key& key) const {
  if (!receives(j, i, key) || at(i).asleep != 0 || at(j).asleep != 0 || leaves(j, key.generation)) return false;
  const auto* session = find(at(j).sessions, key.generation);
  return session != nullptr && session->pub == key.peer && session->flushed == 0;
}

// Data arrives, and will unless there is a fault.
bool Cluster::serves(int i, int j) const {
  const auto* state = sending(i, j);
  if (state == nullptr || state->excuse != kNone || !receives(j, i, state->key)) return false;
  return !leaves(i, state->key.generation) && !leaves(j, state->key.generation);
}

bool Cluster::steady() const {
  const auto& first = at(0).sessions[0];
  for (int i = 0; i < nodes(); ++i) {
    const auto& node = at(i);
    const auto& session = node.sessions[0];
    if (session.generation == 0 || session.generation != first.generation || session.psk != node.file) return false;
    if (node.sessions[1].generation != 0 || !same(node.sessions, node.published)) return false;
    if (node.held() != 1U << session.psk) return false;
  }
  return std::ranges::all_of(pairs_, [&](const auto& pair) {
    const auto& from = side(pair.first, pair.second);
    const auto* state = sending(pair.first, pair.second);
    return state != nullptr && state->key.generation == first.generation &&
           receives(pair.second, pair.first, state->key) && from.receive[1].generation == 0 &&
           from.transmit[1].key.generation == 0 && from.policies[1].generation == 0;
  });
}

bool Cluster::run_one_round() {
  for (int i = 0; i < nodes(); ++i) {
    const auto number = static_cast<std::uint8_t>(i);
    if (!happen({EventKind::kStart, number, 0, 0})) return false;
    while (at(i).plan() != 0) {
      if (!happen({EventKind::kStep, number, 0, 0})) return false;
      if (!deliver_probes(number)) return false;
    }
  }
  return true;
}

bool Cluster::deliver_probes(std::uint8_t from) {
  for (int j = 0; j < nodes(); ++j) {
    auto& probe = side(from, j).probe;
    const bool arrives = probe.key.generation != 0 && receives(j, from, probe.key);
    if (arrives && !happen({EventKind::kProbe, static_cast<std::uint8_t>(j), from, 0})) return false;
    probe = {};
  }
  return true;
}

int Cluster::rounds_to_the_end(std::unordered_set<std::uint64_t>& good) {
  constexpr int kMostRounds = 40;
  constexpr int kPatience = 20;
  std::uint8_t file = at(0).file;
  for (int i = 0; i < nodes(); ++i) {
    at(i).asleep = 0;
    at(i).left = {};
    if (is_ahead(at(i).file, file)) file = at(i).file;
  }
  for (int i = 0; i < nodes(); ++i) at(i).file = file;
  std::vector<std::uint64_t> way;
  for (int round = 0; round < kMostRounds; ++round) {
    normalise();
    const auto here = hash(&state_, sizeof state_);
    if (good.contains(here) || steady()) {
      good.insert(here);
      good.insert(way.begin(), way.end());
      return round;
    }
    way.push_back(here);
    if (!run_one_round()) return -1;
    for (int i = 0; i < nodes() && round >= kPatience; ++i) expire(i);
  }
  fail("does not end");
  return -1;
}

// --- the search -----------------------------------------------------------------------------------------------------

struct Visit {
  std::uint32_t parent = 0;
  Event event;
};

class Search {
 public:
  Search(const Scenario& scenario, const Rules& rules) : scenario_(scenario), cluster_(scenario, rules) {}

  Report run() {
    const auto root = begin();
    if (!root) return std::move(report_);
    add(*root, {});
    for (std::uint32_t number = 0; !queue_.empty(); ++number) {
      const auto state = queue_.front();
      queue_.pop_front();
      if (!visit(state, number)) return std::move(report_);
      if (seen_.size() > scenario_.most_states) return std::move(report_);
    }
    report_.complete = true;
    return std::move(report_);
  }

 private:
  std::optional<State> begin() {
    cluster_.state() = cluster_.booted();
    if (scenario_.steady && cluster_.rounds_to_the_end(good_) < 0) {
      report_.violation = "the beginning: " + cluster_.violation();
      return std::nullopt;
    }
    good_.clear();
    cluster_.allow(scenario_.budgets);
    cluster_.normalise();
    root_ = cluster_.state();
    return root_;
  }

  void add(const State& state, const Visit& from) {
    if (!seen_.insert(hash(&state, sizeof state)).second) return;
    visits_.push_back(from);
    queue_.push_back(state);
    ++report_.states;
  }

  bool visit(const State& state, std::uint32_t number) {
    cluster_.state() = state;
    if (cluster_.quiet()) {
      ++report_.checked_ends;
      const int rounds = cluster_.rounds_to_the_end(good_);
      if (rounds < 0) return violated(number, std::nullopt);
      report_.most_rounds = std::max(report_.most_rounds, rounds);
      cluster_.state() = state;
    }
    for (const auto& event : cluster_.events()) {
      cluster_.state() = state;
      ++report_.events;
      if (!cluster_.happen(event)) return violated(number, event);
      cluster_.normalise();
      add(cluster_.state(), {number, event});
    }
    return true;
  }

  // Goes the way again, and says so.
  bool violated(std::uint32_t number, const std::optional<Event>& last) {
    report_.violation = cluster_.violation();
    std::vector<Event> events;
    for (; number != 0; number = visits_[number].parent) events.push_back(visits_[number].event);
    cluster_.state() = root_;
    cluster_.keep_log();
    for (const auto& event : events | std::views::reverse) {
      cluster_.happen(event);
      cluster_.normalise();
    }
    std::unordered_set<std::uint64_t> none;
    if (last) {
      cluster_.happen(*last);
    } else {
      cluster_.rounds_to_the_end(none);
    }
    report_.trace = cluster_.log();
    return false;
  }

  const Scenario& scenario_;
  Cluster cluster_;
  State root_;
  Report report_;
  std::unordered_set<std::uint64_t> seen_;
  std::unordered_set<std::uint64_t> good_;
  std::vector<Visit> visits_;
  std::deque<State> queue_;
};

}  // namespace

Planned real_rules(const RotationView& view) {
  const auto decision = decide_rotation(view);
  return {flatten(decision), decision.keep_psk, decision.waits};
}

Report explore(const Scenario& scenario, const Rules& rules) {
  return Search(scenario, rules).run();
}

}  // namespace sheath::plan::model
