// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iterator>

#include "loader/plan/rotation.hpp"
#include "selftests/unit/plan_rotation_model.hpp"

namespace sheath::plan {
namespace {

using namespace std::chrono_literals;

// --- single rules ---------------------------------------------------------------------------------------------------

constexpr auto kNow = std::chrono::hours(100);

keys::PublicKey key_of(int number) {
  keys::PublicKey key;
  key.bytes[0] = static_cast<std::uint8_t>(number);
  key.bytes[31] = 1;
  return key;
}

// Keys and tags of a node's sessions follow from its number and the generation; `again` is for one that was redrawn.
constexpr int kOwn = 0;
PeerSession session(int node, std::uint8_t generation, std::uint8_t psk_id, int again = 0) {
  const int number = node * 50 + generation + again * 20;
  return {generation, key_of(number), static_cast<std::uint32_t>(number), psk_id};
}

struct Scene {
  RotationView view;

  explicit Scene(std::uint8_t file_key_id) {
    view.name = "b";
    view.file_key_id = file_key_id;
    view.now = kNow;
    view.timing.rotate_every = 8h;
  }
  Scene& own(std::uint8_t generation, std::uint8_t psk_id, std::chrono::nanoseconds age = 1min) {
    const auto drawn = session(kOwn, generation, psk_id);
    view.sessions.push_back({generation, drawn.public_key, drawn.tag, psk_id, kNow - age});
    view.held_psk_ids.insert(psk_id);
    return *this;
  }
  PeerView& peer(const std::string& name, std::uint8_t key_id, std::vector<PeerSession> sessions) {
    auto& added = view.peers[name];
    added.key_id = key_id;
    added.sessions = std::move(sessions);
    return added;
  }
  RotationDecision decide() const { return decide_rotation(view); }
};

// Everything of the generation is in place; `in_use`: and data goes under it, both ways.
void install(PeerView& peer, std::uint8_t generation, bool in_use) {
  const auto found = std::ranges::find(peer.sessions, generation, &PeerSession::generation);
  REQUIRE(found != peer.sessions.end());
  peer.receive.push_back({generation, found->tag, found->public_key});
  peer.transmit.push_back({generation, session(kOwn, generation, 0).tag, found->public_key});
  peer.policies.push_back({generation, true});
  peer.recorded.push_back({generation, found->public_key});
  if (!in_use) return;
  peer.in_use = generation;
  peer.heard_keys = static_cast<std::uint16_t>(peer.heard_keys | 1U << generation);
  peer.heard_uses = static_cast<std::uint16_t>(peer.heard_uses | 1U << generation);
}

using Moves = std::vector<Move>;
using K = MoveKind;

// Three nodes in use of generation 3, and this one's key file with key 3.
Scene steady(std::chrono::nanoseconds age = 1h) {
  Scene scene(3);
  scene.own(3, 3, age);
  install(scene.peer("a", 3, {session(1, 3, 3)}), 3, true);
  install(scene.peer("c", 3, {session(2, 3, 3)}), 3, true);
  return scene;
}

TEST_CASE("rotation: generations follow each other from 1 to 15 and round") {
  CHECK(next_generation(3) == 4);
  CHECK(next_generation(15) == 1);
  CHECK(previous_generation(1) == 15);
  for (std::uint8_t i = 1; i <= kGenerations; ++i) {
    CHECK(previous_generation(next_generation(i)) == i);
    CHECK_FALSE(is_ahead(i, i));
    for (std::uint8_t j = 1; j <= kGenerations; ++j) {
      if (i != j) CHECK(is_ahead(i, j) != is_ahead(j, i));
    }
  }
}

TEST_CASE("rotation: in the steady state there is nothing to do and nothing to wait for") {
  const auto decision = steady().decide();
  CHECK_FALSE(decision.draw);
  CHECK(flatten(decision).additions.empty());
  CHECK(flatten(decision).retirements.empty());
  CHECK(decision.waits.empty());
  CHECK(decision.peers.at("a").phase == RotationPhase::kSteady);
  CHECK(decision.peers.at("a").next == 0);
  CHECK(decision.deadline == 7h);
}

struct DrawCase {
  const char* name;
  Scene scene;
  std::optional<Draw> draw;  // tags left out
  std::vector<std::string> waits;
};

void check_draw(const DrawCase& one) {
  CAPTURE(std::string(one.name));
  auto decision = one.scene.decide();
  if (decision.draw) decision.draw->taken_tags.clear();
  CHECK(decision.draw.has_value() == one.draw.has_value());
  if (decision.draw && one.draw) {
    CHECK(int{decision.draw->generation} == int{one.draw->generation});
    CHECK(int{decision.draw->psk_id} == int{one.draw->psk_id});
    CHECK(decision.draw->replaces == one.draw->replaces);
  }
  CHECK(decision.waits == one.waits);
}

Scene with(Scene scene, const std::function<void(Scene&)>& change) {
  change(scene);
  return scene;
}

TEST_CASE("rotation: a peer that moved draws a new session, and nobody else does") {
  auto scene = steady();
  auto& moved = scene.view.peers.at("a");
  moved.moved = true;
  moved.receive[0].peer_key.reset();
  moved.transmit[0].peer_key.reset();
  const std::vector<std::string> waits{"waits for a: its address changed, and it has no new session yet"};
  auto decision = scene.decide();
  CHECK_FALSE(decision.draw);
  CHECK(decision.peers.at("a").additions == Moves{{K::kUse, 0}, {K::kDropPolicy, 3}});
  CHECK(decision.peers.at("a").phase == RotationPhase::kWaiting);
  CHECK(decision.peers.at("c").additions.empty());
  CHECK(decision.peers.at("c").phase == RotationPhase::kSteady);
  CHECK(decision.waits == waits);

  moved.in_use = 0;
  moved.policies.clear();
  decision = scene.decide();
  CHECK_FALSE(decision.draw);
  CHECK(decision.peers.at("a").additions.empty());
  CHECK(decision.waits == waits);

  moved.sessions = {session(1, 3, 3, 1)};
  decision = scene.decide();
  CHECK_FALSE(decision.draw);
  CHECK(decision.waits.empty());
  CHECK(decision.peers.at("a").additions == Moves{{K::kDropTransmit, 3},
                                                  {K::kDropReceive, 3},
                                                  {K::kClearHeard, 3},
                                                  {K::kAddReceive, 3},
                                                  {K::kAddTransmit, 3},
                                                  {K::kRecord, 3},
                                                  {K::kSetPolicy, 3},
                                                  {K::kProbe, 3}});
  CHECK(decision.peers.at("c").additions.empty());

  // What it looks like to the node that moved.
  scene = steady();
  for (auto& [name, peer] : scene.view.peers) {
    peer.receive[0].peer_key.reset();
    peer.transmit[0].peer_key.reset();
  }
  REQUIRE(scene.decide().draw);
  CHECK(scene.decide().draw->replaces);
}

TEST_CASE("rotation: the first session") {
  const Scene alone(7);
  const auto empty_peers = with(Scene(7), [](Scene& scene) { scene.peer("a", 7, {}); });
  const auto joins = with(Scene(3), [](Scene& scene) {
    scene.peer("a", 3, {session(1, 15, 3), session(1, 1, 3)});
    scene.peer("c", 3, {session(2, 15, 3)});
  });
  const auto other_key = with(Scene(4), [](Scene& scene) {
    scene.peer("a", 3, {session(1, 9, 3)});
    scene.peer("c", 4, {session(2, 9, 3)});
  });
  const auto key_came = with(Scene(4), [](Scene& scene) {
    scene.peer("a", 4, {session(1, 9, 3)});
    scene.peer("c", 4, {session(2, 9, 3)});
  });
  const std::vector<DrawCase> cases{
      {"of the first node is the key file's ID", alone, Draw{7, 7, false, {}}, {}},
      {"where no peer has one is the key file's ID", empty_peers, Draw{7, 7, false, {}}, {}},
      {"in a rotation is the older one as long as only one peer is ahead", joins, Draw{15, 3, false, {}}, {}},
      {"waits for peers with another key file", other_key, std::nullopt, {"waits for a: its key file has key 3"}},
      {"goes ahead when all have the new key file", key_came, Draw{10, 4, false, {}}, {}},
  };
  for (const auto& one : cases) check_draw(one);
}

TEST_CASE("rotation: the next generation is drawn") {
  const auto all_have = [](std::uint8_t key_id) {
    return [key_id](Scene& scene) {
      for (auto& [name, peer] : scene.view.peers) peer.key_id = key_id;
    };
  };
  const auto file_4 = [](Scene& scene) { scene.view.file_key_id = 4; };
  const auto a_is_ahead_with = [](std::uint8_t psk_id) {
    return [psk_id](Scene& scene) { scene.view.peers.at("a").sessions.push_back(session(1, 4, psk_id)); };
  };
  const auto a_is_behind = [](Scene& scene) { scene.view.peers.at("a").sessions.push_back(session(1, 2, 3)); };
  const auto sequence_high = [](Scene& scene) { scene.view.peers.at("c").sequence_high = true; };
  const auto stale = [](Scene& scene) { scene.peer("d", 1, {session(3, 11, 1)}); };
  const std::vector<DrawCase> cases{
      {"when rotateEvery is over", steady(8h), Draw{4, 3, false, {}}, {}},
      {"not before", steady(7h), std::nullopt, {}},
      {"when a peer is ahead", with(steady(), a_is_ahead_with(3)), Draw{4, 3, false, {}}, {}},
      {"not when a peer is ahead with a key that is not here yet",
       with(steady(9h), a_is_ahead_with(4)),
       std::nullopt,
       {"waits for this node's key file: a uses key 4"}},
      {"when everybody has the new key file", with(with(steady(), file_4), all_have(4)), Draw{4, 4, false, {}}, {}},
      {"not while a peer has the old key file, though rotateEvery is over",
       with(steady(9h), file_4),
       std::nullopt,
       {"waits for a: its key file has key 3", "waits for c: its key file has key 3"}},
      {"when a sequence number nears its end, under the old key if need be",
       with(with(steady(), file_4), sequence_high),
       Draw{4, 3, false, {}},
       {"waits for a: its key file has key 3", "waits for c: its key file has key 3"}},
      {"not while a peer still has the previous generation",
       with(steady(8min),
            [&](Scene& scene) {
              a_is_behind(scene);
              sequence_high(scene);
            }),
       std::nullopt,
       {"waits for a: it still has key 2"}},
      {"but a peer that has it for long is dead", with(steady(9h), a_is_behind), Draw{4, 3, false, {}}, {}},
      {"whatever a node publishes that shares nothing with us", with(steady(9h), stale), Draw{4, 3, false, {}}, {}},
  };
  for (const auto& one : cases) check_draw(one);
}

TEST_CASE("rotation: a session is drawn again for the same generation") {
  const auto flushed = with(steady(), [](Scene& scene) {
    for (auto& [name, peer] : scene.view.peers) peer.receive = peer.transmit = {};
  });
  const auto receive_lost = with(steady(), [](Scene& scene) { scene.view.peers.at("c").receive = {}; });
  const auto same_tag_as = [](const std::string& name) {
    return [name](Scene& scene) { scene.view.peers.at(name).sessions[0].tag = session(kOwn, 3, 3).tag; };
  };
  const auto a_chose_key_4 = [](Scene& scene) {
    scene.view.file_key_id = 4;
    scene.view.peers.at("a").key_id = 4;
    scene.view.peers.at("a").sessions[0].psk_id = 4;
  };
  const std::vector<DrawCase> cases{
      {"when the states are gone", flushed, Draw{3, 3, true, {}}, {}},
      {"when only a receive state is gone, since it would take old packets again",
       receive_lost,
       Draw{3, 3, true, {}},
       {}},
      {"when a node with a smaller name has its tag", with(steady(), same_tag_as("a")), Draw{3, 3, true, {}}, {}},
      {"not when that has the larger name", with(steady(), same_tag_as("c")), std::nullopt, {}},
      {"when a peer bound the generation to the newer key", with(steady(), a_chose_key_4), Draw{3, 4, true, {}}, {}},
  };
  for (const auto& one : cases) check_draw(one);
}

TEST_CASE("rotation: before a session is replaced, nothing is sent under it any more") {
  auto scene = steady();
  scene.view.peers.at("a").receive.clear();
  const auto decision = scene.decide();
  REQUIRE(decision.draw);
  CHECK(decision.peers.at("a").additions == Moves{{K::kUse, 0}});
  CHECK(decision.peers.at("c").additions == Moves{{K::kUse, 0}});
  CHECK(decision.draw->taken_tags == std::set<std::uint32_t>{3, 53, 103});
  const auto steps = flatten(decision).additions;
  REQUIRE(steps.size() == 3);
  CHECK(steps.back().kind == RotationStep::Kind::kDraw);
}

TEST_CASE("rotation: for a new common generation: receive, transmit, record, policies, probe") {
  auto scene = steady();
  scene.own(4, 3);
  scene.view.peers.at("a").sessions.push_back(session(1, 4, 3));
  const auto decision = scene.decide();
  const auto& a = decision.peers.at("a");
  CHECK(a.additions ==
        Moves{{K::kAddReceive, 4}, {K::kAddTransmit, 4}, {K::kRecord, 4}, {K::kSetPolicy, 4}, {K::kProbe, 4}});
  CHECK(a.phase == RotationPhase::kPublished);
  CHECK(a.in_use == 3);
  CHECK(a.next == 4);
  CHECK(decision.peers.at("c").additions.empty());
  CHECK(decision.waits == std::vector<std::string>{"waits for a: nothing was heard under key 4",
                                                   "waits for c: it has not published key 4"});
  CHECK(decision.wipe.empty());
  CHECK(decision.deadline == 4min);
}

TEST_CASE("rotation: data goes under the new generation when the peer was heard under it, and the probe says so") {
  auto scene = steady();
  scene.own(4, 3);
  auto& a = scene.view.peers.at("a");
  a.sessions.push_back(session(1, 4, 3));
  install(a, 4, false);
  CHECK(scene.decide().peers.at("a").additions == Moves{{K::kProbe, 4}});
  CHECK(scene.decide().peers.at("a").phase == RotationPhase::kProbing);
  a.heard_keys |= 1U << 4;
  CHECK(scene.decide().peers.at("a").additions == Moves{{K::kUse, 4}, {K::kProbe, 4}});
}

// As `steady`, with both peers in use of generation 4, and 3 still there.
Scene switched(std::chrono::nanoseconds age = 1min) {
  auto scene = steady();
  scene.own(4, 3, age);
  int node = 1;
  for (auto& [name, peer] : scene.view.peers) {
    peer.sessions.push_back(session(node++, 4, 3));
    install(peer, 4, true);
  }
  return scene;
}

TEST_CASE("rotation: the old generation goes when both sides use the new one: transmit, pause, receive, private half") {
  const auto decision = switched().decide();
  CHECK(decision.peers.at("a").additions == Moves{{K::kProbe, 4}});
  CHECK(decision.peers.at("a").phase == RotationPhase::kSwitched);
  CHECK(decision.peers.at("a").previous == 3);
  CHECK(decision.wipe == std::set<std::uint8_t>{3});
  std::vector<std::string> kinds;
  for (const auto& step : flatten(decision).retirements) {
    if (step.kind == RotationStep::Kind::kPause) kinds.emplace_back("pause");
    if (step.kind == RotationStep::Kind::kWipe) kinds.emplace_back("wipe");
    if (step.kind != RotationStep::Kind::kMove) continue;
    if (step.move.kind == K::kDropPolicy) kinds.push_back("policy " + step.peer);
    if (step.move.kind == K::kDropTransmit) kinds.push_back("transmit " + step.peer);
    if (step.move.kind == K::kDropReceive) kinds.push_back("receive " + step.peer);
    if (step.move.kind == K::kClearHeard) kinds.push_back("heard " + step.peer);
  }
  CHECK(kinds == std::vector<std::string>{"policy a", "policy c", "transmit a", "transmit c", "pause", "receive a",
                                          "receive c", "heard a", "heard c", "wipe"});
}

TEST_CASE("rotation: one peer that does not use the new generation keeps the old one, for itself alone") {
  auto scene = switched();
  scene.view.peers.at("c").heard_uses = 1U << 3;
  const auto decision = scene.decide();
  CHECK(decision.peers.at("c").retirements.empty());
  CHECK(decision.peers.at("a").retirements.size() == 4);
  CHECK(decision.wipe.empty());
  CHECK(decision.waits == std::vector<std::string>{"waits for c: it does not send under key 4 yet"});
}

TEST_CASE(
    "rotation: after keyRotationDuration the old generation goes, and a peer that has nothing else is not ready") {
  auto scene = switched(5min);
  auto& c = scene.view.peers.at("c");
  c = {};
  c.key_id = 3;
  c.sessions = {session(2, 3, 3)};
  install(c, 3, true);
  const auto decision = scene.decide();
  CHECK(decision.peers.at("c").retirements ==
        Moves{{K::kUse, 0}, {K::kDropPolicy, 3}, {K::kDropTransmit, 3}, {K::kDropReceive, 3}, {K::kClearHeard, 3}});
  CHECK(decision.wipe == std::set<std::uint8_t>{3});

  c.transmit.clear();  // killed in the middle: that is no loss that asks for another session
  c.policies.clear();
  c.in_use = 0;
  CHECK_FALSE(scene.decide().draw);
  CHECK(scene.decide().peers.at("c").pause);
}

TEST_CASE("rotation: a generation that the peer has withdrawn is closed at once, without a pause") {
  auto scene = switched();
  scene.view.peers.at("a").sessions.erase(scene.view.peers.at("a").sessions.begin());
  const auto decision = scene.decide();
  CHECK(decision.peers.at("a").additions ==
        Moves{{K::kDropPolicy, 3}, {K::kDropTransmit, 3}, {K::kDropReceive, 3}, {K::kClearHeard, 3}});
  CHECK_FALSE(decision.peers.at("a").pause);
}

TEST_CASE("rotation: a peer that drew its session again gets both states anew, and nobody else is touched") {
  auto scene = steady();
  auto& a = scene.view.peers.at("a");
  a.sessions = {session(1, 3, 3, 1)};
  const auto decision = scene.decide();
  CHECK(decision.peers.at("a").additions == Moves{{K::kUse, 0},
                                                  {K::kDropPolicy, 3},
                                                  {K::kDropTransmit, 3},
                                                  {K::kDropReceive, 3},
                                                  {K::kClearHeard, 3},
                                                  {K::kAddReceive, 3},
                                                  {K::kAddTransmit, 3},
                                                  {K::kRecord, 3},
                                                  {K::kSetPolicy, 3},
                                                  {K::kProbe, 3}});
  CHECK(decision.peers.at("c").additions.empty());
}

TEST_CASE("rotation: a receive state is never made while `heard` has a bit of an earlier one") {
  Scene scene(3);
  scene.own(3, 3);
  auto& a = scene.peer("a", 3, {session(1, 3, 3)});
  a.heard_keys = a.heard_uses = 1U << 3;
  const auto moves = scene.decide().peers.at("a").additions;
  REQUIRE(moves.size() >= 2);
  CHECK(moves[0] == Move{K::kClearHeard, 3});
  CHECK(moves[1] == Move{K::kAddReceive, 3});
  CHECK(std::ranges::none_of(moves, [](const Move& move) { return move.kind == K::kUse; }));
}

TEST_CASE("rotation: a peer that is gone loses everything") {
  auto scene = steady();
  auto& a = scene.view.peers.at("a");
  a.key_id.reset();
  a.sessions.clear();
  const auto decision = scene.decide();
  CHECK(decision.peers.at("a").additions ==
        Moves{{K::kUse, 0}, {K::kDropPolicy, 3}, {K::kDropTransmit, 3}, {K::kDropReceive, 3}, {K::kClearHeard, 3}});
  CHECK(decision.peers.at("a").phase == RotationPhase::kWaiting);
}

TEST_CASE("rotation: a policy that is not complete is set, and data goes on") {
  auto scene = steady();
  scene.view.peers.at("a").policies[0].complete = false;
  CHECK(scene.decide().peers.at("a").additions == Moves{{K::kSetPolicy, 3}});
}

TEST_CASE("rotation: of two peers with one SPI the smaller name is received, when the other's state is gone") {
  Scene scene(3);
  scene.own(3, 3);
  auto& a = scene.peer("a", 3, {session(1, 3, 3)});
  auto& c = scene.peer("c", 3, {session(2, 3, 3)});
  c.sessions[0].tag = a.sessions[0].tag;
  SUBCASE("neither has a state") {
    CHECK(scene.decide().peers.at("a").additions.front() == Move{K::kAddReceive, 3});
    CHECK(scene.decide().peers.at("c").additions.empty());
    CHECK(scene.decide().waits == std::vector<std::string>{"waits for c: its SPI is another node's too"});
  }
  SUBCASE("the larger name's is in use: it stays until that node has drawn another tag") {
    install(c, 3, true);
    CHECK(scene.decide().peers.at("a").additions.empty());
    CHECK(scene.decide().peers.at("c").additions.empty());
  }
}

TEST_CASE("rotation: a node whose generation nobody shares starts again, others stay") {
  Scene scene(3);
  scene.own(9, 3);
  scene.peer("a", 3, {session(1, 12, 3)});
  SUBCASE("it is behind") {
    CHECK(scene.decide().wipe == std::set<std::uint8_t>{9});
  }
  SUBCASE("it is one behind: it follows, which costs nobody anything") {
    scene.view.peers.at("a").sessions = {session(1, 10, 3)};
    CHECK(scene.decide().wipe.empty());
    REQUIRE(scene.decide().draw);
    CHECK(int{scene.decide().draw->generation} == 10);
  }
  SUBCASE("it is ahead") {
    scene.view.peers.at("a").sessions = {session(1, 6, 3)};
    CHECK(scene.decide().wipe.empty());
    CHECK_FALSE(scene.decide().draw);
  }
  SUBCASE("it is ahead, but the others are two") {
    scene.view.peers.at("a").sessions = {session(1, 6, 3)};
    scene.peer("c", 3, {session(2, 6, 3)});
    CHECK(scene.decide().wipe == std::set<std::uint8_t>{9});
  }
  SUBCASE("the others' key is not held") {
    scene.view.peers.at("a").sessions = {session(1, 12, 5)};
    CHECK(scene.decide().wipe.empty());
  }
}

TEST_CASE("rotation: a pre-shared key is kept as long as a peer may choose it") {
  auto scene = steady();
  scene.view.file_key_id = 5;
  scene.view.held_psk_ids = {3, 4};
  CHECK(scene.decide().keep_psk == std::set<std::uint8_t>{3, 4, 5});
  scene.view.sessions[0].psk_id = 5;
  CHECK(scene.decide().keep_psk == std::set<std::uint8_t>{5});
}

// --- the model ------------------------------------------------------------------------------------------------------

using model::Budget;
using model::explore;
using model::Planned;
using model::real_rules;
using model::Scenario;

bool soak() {
  const char* value = std::getenv("SHEATH_SOAK");
  return value != nullptr && std::string(value) == "1";
}

std::string story(const model::Report& report) {
  std::string text = report.violation;
  for (const auto& line : report.trace) text += "\n  " + line;
  return text;
}

constexpr Budget kNothing{};

// Every order of every event, and a process that dies as often as it likes.
std::vector<Scenario> full_scenarios() {
  return {
      {.name = "two nodes boot", .steady = false},
      {.name = "two nodes boot, one reboots", .steady = false, .budgets = {Budget{.reboots = 1}}},
      {.name = "two nodes boot, one is flushed", .steady = false, .budgets = {Budget{.flushes = 1}}},
      {.name = "two nodes boot with key files one apart",
       .files_apart = 1,
       .steady = false,
       .budgets = {Budget{.file_changes = 1}}},
      {.name = "two nodes boot with key files far apart",
       .files_apart = 5,
       .steady = false,
       .budgets = {Budget{.file_changes = 2}}},
      {.name = "the key file changes",
       .file_key_id = 14,
       .budgets = {Budget{.file_changes = 1}, Budget{.file_changes = 1}}},
      {.name = "both are due to rotate",
       .file_key_id = 15,
       .budgets = {Budget{.rotations = 1}, Budget{.rotations = 1}}},
  };
}

std::vector<Scenario> full_soak_scenarios() {
  const Budget due{.rotations = 1};
  return {
      {.name = "one rotates, and is flushed", .file_key_id = 15, .budgets = {Budget{.flushes = 1, .rotations = 1}}},
      {.name = "one rotates, the other is flushed", .file_key_id = 15, .budgets = {due, Budget{.flushes = 1}}},
      {.name = "one rotates, and reboots", .file_key_id = 15, .budgets = {Budget{.reboots = 1, .rotations = 1}}},
      {.name = "one rotates, the other reboots", .file_key_id = 15, .budgets = {due, Budget{.reboots = 1}}},
      {.name = "the key file changes while one is due to rotate",
       .file_key_id = 15,
       .budgets = {Budget{.file_changes = 1, .rotations = 1}, Budget{.file_changes = 1}}},
      {.name = "the key file changes twice",
       .file_key_id = 15,
       .budgets = {Budget{.file_changes = 2}, Budget{.file_changes = 2}}},
      {.name = "one sleeps while the other rotates and gives it up",
       .file_key_id = 15,
       .budgets = {Budget{.rotations = 1, .expiries = 1}, Budget{.sleeps = 1}}},
  };
}

// Smaller steps of the search, for more faults or more nodes.
Scenario coarse(std::string name, int nodes, std::array<Budget, model::kMostNodes> budgets, bool traffic = true) {
  Scenario scenario{.name = std::move(name), .nodes = nodes, .file_key_id = 14, .budgets = budgets, .coarse = true};
  scenario.traffic = traffic;
  scenario.most_busy = nodes == 2 || soak() ? 2 : 1;
  if (nodes == 2) return scenario;
  scenario.most_states = soak() ? 4'000'000 : scenario.most_states;
  return scenario;
}

std::vector<Scenario> coarse_scenarios() {
  const Budget due{.rotations = 1};
  const Budget file{.file_changes = 1};
  auto boot = coarse("three nodes boot, nobody sends", 3, {}, false);
  boot.steady = false;
  auto apart = coarse("three nodes boot, one with an old key file", 3, {});
  apart.steady = false;
  apart.files_apart = 13;
  return {
      coarse("one of two is away for two generations", 2, {Budget{.rotations = 2, .expiries = 2}, Budget{.sleeps = 1}}),
      coarse("both of two reboot in a rotation", 2, {Budget{.reboots = 1, .rotations = 1}, Budget{.reboots = 1}}),
      coarse("one of two dies twice in a rotation, the other once", 2,
             {Budget{.rotations = 1, .deaths = 2}, Budget{.deaths = 1}}),
      boot,
      apart,
      coarse("one of three is flushed, nobody sends", 3, {Budget{.flushes = 1}}, false),
      coarse("one of three rotates, nobody sends", 3, {due}, false),
      coarse("one of three rotates", 3, {due}),
      coarse("the key file changes at three", 3, {file, file, file}),
  };
}

std::vector<Scenario> coarse_soak_scenarios() {
  const Budget file{.file_changes = 1};
  const Budget flushed{.flushes = 1, .file_changes = 1};
  const Budget rebooted{.reboots = 1, .file_changes = 1};
  return {
      coarse("both of two are flushed in a rotation", 2, {Budget{.flushes = 1, .rotations = 1}, Budget{.flushes = 1}}),
      coarse("both of two are flushed while the key file changes", 2, {flushed, flushed}),
      coarse("both of two reboot while the key file changes", 2, {rebooted, rebooted}),
      coarse("one of three dies in a rotation", 3, {Budget{.rotations = 1, .deaths = 1}}),
      coarse("one of three rotates, another reboots", 3, {Budget{.rotations = 1}, Budget{.reboots = 1}}),
      coarse("one of three rotates, another is flushed", 3, {Budget{.rotations = 1}, Budget{.flushes = 1}}),
      coarse("one of three reboots while the key file changes", 3, {rebooted, file, file}),
      coarse("one of three is away for two generations", 3,
             {Budget{.rotations = 2, .expiries = 2}, Budget{.expiries = 2}, Budget{.sleeps = 1}}),
      coarse("two of three are due to rotate while the key file changes", 3,
             {Budget{.file_changes = 1, .rotations = 1}, Budget{.file_changes = 1, .rotations = 1}, file}),
  };
}

constexpr int kMostRounds = 12;

void check_all(const std::vector<Scenario>& scenarios) {
  for (const auto& scenario : scenarios) {
    const auto begin = std::chrono::steady_clock::now();
    const auto report = explore(scenario);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    CHECK_MESSAGE(report.violation.empty(), scenario.name << ": " << story(report));
    // Three nodes, two of them at once: as far as the memory goes.
    CHECK_MESSAGE((report.complete || (soak() && scenario.nodes == 3)), scenario.name);
    CHECK_MESSAGE(report.most_rounds <= kMostRounds, scenario.name);
    CHECK(report.checked_ends > 0);
    MESSAGE(scenario.name << ": " << report.states << " states, " << report.events << " events, " << report.checked_ends
                          << " ends, " << report.most_rounds << " rounds at most, " << took.count() << " s"
                          << std::string(report.complete ? "" : ", not all"));
  }
}

TEST_CASE("rotation model: in every order nothing is lost, no key counts twice, and all come to one generation") {
  check_all(full_scenarios());
}

TEST_CASE("rotation model: the same with more faults and with three nodes, in larger steps") {
  check_all(coarse_scenarios());
}

TEST_CASE("rotation model: the long search" * doctest::skip(!soak())) {
  check_all(full_soak_scenarios());
  check_all(coarse_soak_scenarios());
}

// --- broken rules, to see that the model sees ------------------------------------------------------------------------

struct Broken {
  std::string name;
  model::Rules rules;
  Scenario scenario;
  std::string violation;  // the end of what the model has to say
};

// The rules with a view that is not true.
model::Rules misled(const std::function<void(RotationView&)>& mislead) {
  return [mislead](const RotationView& view) {
    auto seen = view;
    mislead(seen);
    return real_rules(seen);
  };
}

// The rules with moves that are not what they said.
model::Rules bent(const std::function<void(RotationSteps&)>& bend) {
  return [bend](const RotationView& view) {
    auto planned = real_rules(view);
    bend(planned.steps);
    return planned;
  };
}

bool is(const RotationStep& step, MoveKind kind) {
  return step.kind == RotationStep::Kind::kMove && step.move.kind == kind;
}

void also_draw(Planned& planned, std::uint8_t generation, std::uint8_t psk_id) {
  planned.steps.additions.push_back({RotationStep::Kind::kDraw, {}, {}, {generation, psk_id, false, {}}, {}});
}

void each_peer(RotationView& view, const std::function<void(PeerView&)>& change) {
  for (auto& [name, peer] : view.peers) change(peer);
}

// The analyzer loses sight of a std::function in a list; the leak sanitizer, under which this runs, does not.
std::vector<Broken> broken_orders() {
  const Scenario boot{.name = "boot", .steady = false};
  const Scenario rotation{.name = "rotation", .budgets = {Budget{.rotations = 1}}};
  const Scenario reboot{.name = "reboot", .budgets = {Budget{.reboots = 1}}};
  using Kind = RotationStep::Kind;
  return {
      {"does not pause before it drops the receive state", bent([](RotationSteps& steps) {
         std::erase_if(steps.retirements, [](const RotationStep& step) { return step.kind == Kind::kPause; });
       }),
       rotation, "drops a receive state before the last data came"},
      {"drops receive before transmit, and pauses after", bent([](RotationSteps& steps) {
         std::ranges::stable_partition(steps.retirements,
                                       [](const RotationStep& step) { return is(step, K::kDropReceive); });
       }),
       rotation, "drops a receive state before the last data came"},
      {"records after use", bent([](RotationSteps& steps) {
         std::ranges::stable_partition(steps.additions,
                                       [](const RotationStep& step) { return step.kind != Kind::kRecordPairs; });
       }),
       boot, "a key is used before it is recorded"},
      {"adds transmit before receive and probes at once", bent([](RotationSteps& steps) {
         std::ranges::stable_partition(steps.additions,
                                       [](const RotationStep& step) { return !is(step, K::kAddReceive); });
       }),
       boot, "data is sent that cannot be received, under 3"},
      {"leaves bits of the old receive state in heard", bent([](RotationSteps& steps) {
         std::erase_if(steps.additions, [](const RotationStep& step) { return is(step, K::kClearHeard); });
       }),
       reboot, "heard before there was a state"},
      {"lets the new transmit state meet the old policy", bent([](RotationSteps& steps) {
         std::erase_if(steps.additions, [](const RotationStep& step) { return is(step, K::kDropPolicy); });
       }),
       reboot, "a key is used before it is recorded"},
      {"goes on sending when the peer has drawn again", bent([](RotationSteps& steps) {
         std::erase_if(steps.additions, [](const RotationStep& step) {
           return step.kind == Kind::kMove && step.move == Move{K::kUse, 0};
         });
       }),
       reboot, "data is sent that cannot be received, under 3"},
  };
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)

std::vector<Broken> broken_thoughts() {
  const Scenario boot{.name = "boot", .steady = false};
  const Scenario rotation{.name = "rotation", .budgets = {Budget{.rotations = 1}}};
  const Scenario flush{.name = "flush", .budgets = {Budget{.flushes = 1}}};
  const Scenario twice{.name = "file twice", .budgets = {Budget{.file_changes = 2}, Budget{.file_changes = 2}}};
  const Scenario file_and_due =
      coarse("file and due", 3,
             {Budget{.file_changes = 1}, Budget{.file_changes = 1, .rotations = 1}, Budget{.file_changes = 1}});
  using Kind = RotationStep::Kind;
  return {
      {"switches before the peer was heard",
       misled([](RotationView& view) { each_peer(view, [](PeerView& peer) { peer.heard_keys = 0xfffe; }); }), rotation,
       "data is sent that cannot be received, under 4"},
      {"retires before the peer has switched", misled([](RotationView& view) {
         if (view.sessions.size() == 2) each_peer(view, [](PeerView& peer) { peer.heard_uses = peer.heard_keys; });
       }),
       rotation, "data is sent that cannot be received, under 3"},
      {"reuses a session after a flush",
       misled([](RotationView& view) { each_peer(view, [](PeerView& peer) { peer.recorded.clear(); }); }), flush,
       "a key starts counting twice"},
      {"draws a third generation",
       [](const RotationView& view) {
         auto planned = real_rules(view);
         if (view.sessions.size() == 2) also_draw(planned, next_generation(view.sessions[1].generation), 3);
         return planned;
       },
       rotation, "three generations of own sessions"},
      {"never wipes", bent([](RotationSteps& steps) {
         std::erase_if(steps.retirements, [](const RotationStep& step) { return step.kind == Kind::kWipe; });
       }),
       rotation, "does not end"},
      {"never probes", bent([](RotationSteps& steps) {
         std::erase_if(steps.additions, [](const RotationStep& step) { return is(step, K::kProbe); });
       }),
       boot, "does not end"},
      {"forgets a key that it had published",
       [](const RotationView& view) {
         auto planned = real_rules(view);
         planned.keep_psk = {view.file_key_id};
         for (const auto& session : view.sessions) planned.keep_psk.insert(session.psk_id);
         return planned;
       },
       twice, "was in use, and is not any more"},
      {"starts by the clock while a new key file is on its way",
       [](const RotationView& view) {
         auto planned = real_rules(view);
         const bool alone = view.sessions.size() == 1;
         if (!alone || view.now - view.sessions[0].drawn_at < 8h || !planned.steps.additions.empty()) return planned;
         also_draw(planned, next_generation(view.sessions[0].generation), view.sessions[0].psk_id);
         return planned;
       },
       file_and_due, "was in use, and is not any more"},
  };
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)

TEST_CASE("rotation model: sees each broken rule") {
  auto all = broken_orders();
  std::ranges::move(broken_thoughts(), std::back_inserter(all));
  for (const auto& broken : all) {
    const auto report = explore(broken.scenario, broken.rules);
    MESSAGE(broken.name << ": " << report.states << " states: " << report.violation);
    CHECK_MESSAGE(report.violation.ends_with(broken.violation), broken.name << ": " << story(report));
  }
}

}  // namespace
}  // namespace sheath::plan
