// SPDX-License-Identifier: Apache-2.0
// Node encryption turned on and off, node by node: a search through everything that two nodes can do in any order.
#include <doctest/doctest.h>

#include <array>
#include <compare>
#include <deque>
#include <optional>
#include <set>

#include "loader/plan/detour.hpp"
#include "loader/plan/node_traffic.hpp"
#include "loader/state/opt_out.hpp"

using namespace sheath;
using namespace sheath::plan;

namespace {

constexpr auto kPlain = SHEATH_NODE_TRAFFIC_plain;
constexpr auto kEncrypted = SHEATH_NODE_TRAFFIC_encrypted;
constexpr auto kRequired = SHEATH_NODE_TRAFFIC_required;

// What a round of apply has decided and not yet done: it publishes first, and writes the peer's entry then.
struct Work {
  bool publish = false;
  sheath_node_traffic level = kPlain;
  bool published_already = false;
  auto operator<=>(const Work&) const = default;
};

struct Side {
  bool on = false;
  bool published = false;
  sheath_node_traffic level = kPlain;
  std::optional<Work> work;
  auto operator<=>(const Side&) const = default;
};

using Pair = std::array<Side, 2>;

NodeTrafficView view_of(const Pair& pair, std::size_t self) {
  NodeTrafficView view;
  view.on = pair[self].on;
  view.published = pair[self].published;
  view.peers["peer"] = {false, pair[1 - self].published, pair[self].level};
  return view;
}

void begin(Pair& pair, std::size_t self) {
  const auto decided = decide_node_traffic(view_of(pair, self));
  pair[self].work = Work{decided.publish, decided.levels.at("peer"), false};
}

void go_on(Side& side) {
  auto& work = *side.work;
  if (!work.published_already) {
    side.published = work.publish;
    work.published_already = true;
    return;
  }
  side.level = work.level;
  side.work.reset();
}

// Everything that may happen next.
std::vector<Pair> successors(const Pair& pair) {
  std::vector<Pair> out;
  for (std::size_t self = 0; self < 2; ++self) {
    const auto add = [&](auto change) {
      auto next = pair;
      change(next[self]);
      out.push_back(next);
    };
    add([](Side& side) { side.on = !side.on; });
    if (pair[self].work) {
      add(go_on);
      add([](Side& side) { side.work.reset(); });  // killed
    } else {
      auto next = pair;
      begin(next, self);
      out.push_back(next);
    }
  }
  return out;
}

bool loses(const Side& sender, const Side& receiver) {
  return sender.level == kPlain && receiver.level == kRequired;
}

std::set<Pair> reachable() {
  std::set<Pair> seen{Pair{}};
  std::deque<Pair> open{Pair{}};
  while (!open.empty()) {
    const auto pair = open.front();
    open.pop_front();
    for (const auto& next : successors(pair)) {
      if (seen.insert(next).second) open.push_back(next);
    }
  }
  return seen;
}

// One call of apply to its end.
void apply_fully(Pair& pair, std::size_t self) {
  for (bool again = true; again;) {
    again = decide_node_traffic(view_of(pair, self)).pending;
    begin(pair, self);
    while (pair[self].work) go_on(pair[self]);
  }
}

}  // namespace

TEST_CASE("node traffic: in any order of switching, applying and dying, nobody refuses what the other still sends") {
  const auto all = reachable();
  CHECK(all.size() > 100);
  for (const auto& pair : all) {
    CHECK_FALSE(loses(pair[0], pair[1]));
    CHECK_FALSE(loses(pair[1], pair[0]));
  }
}

TEST_CASE("node traffic: from wherever two nodes are, applying on both ends where their settings say") {
  for (auto pair : reachable()) {
    pair[0].work.reset();
    pair[1].work.reset();
    for (int i = 0; i < 2; ++i) {
      apply_fully(pair, 0);
      apply_fully(pair, 1);
    }
    const bool both = pair[0].on && pair[1].on;
    const bool any = pair[0].on || pair[1].on;
    for (const auto& side : pair) {
      CHECK(side.level == (both ? kRequired : any ? kEncrypted : kPlain));
      CHECK(side.published == side.on);
      CHECK_FALSE(side.work.has_value());
    }
    const auto settled = pair;
    apply_fully(pair, 0);
    CHECK(pair == settled);
  }
}

TEST_CASE("node traffic: where one end is opted out, it stays in plaintext at both") {
  for (const bool own : {true, false}) {
    NodeTrafficView view{.on = !own, .opted_out = own, .published = false, .peers = {}};
    view.peers["peer"] = {!own, true, kPlain};
    const auto decided = decide_node_traffic(view);
    CHECK(decided.levels.at("peer") == kPlain);
    CHECK(decided.publish == !own);
  }
}

TEST_CASE("node traffic: a node says that it encrypts once it does so to every peer, and stays by it for new ones") {
  NodeTrafficView view{.on = true, .opted_out = false, .published = false, .peers = {}};
  view.peers["a"] = {false, false, kEncrypted};
  view.peers["b"] = {false, false, kPlain};
  CHECK_FALSE(decide_node_traffic(view).publish);
  CHECK(decide_node_traffic(view).pending);
  view.peers["b"].level = kEncrypted;
  CHECK(decide_node_traffic(view).publish);
  view.published = true;
  view.peers["c"] = {false, false, kPlain};
  CHECK(decide_node_traffic(view).publish);
}

TEST_CASE("opted out: by a label's key, or by its key and value") {
  state::Config config;
  state::Node node;
  CHECK_FALSE(state::is_opted_out(config, node));
  node.labels = {{"node-role.kubernetes.io/control-plane", ""}};
  CHECK(state::is_opted_out(config, node));
  config.node_encryption_opt_out_labels = {"zone=edge"};
  CHECK_FALSE(state::is_opted_out(config, node));
  node.labels["zone"] = "core";
  CHECK_FALSE(state::is_opted_out(config, node));
  node.labels["zone"] = "edge";
  CHECK(state::is_opted_out(config, node));
}

TEST_CASE("detour: the way of the longest prefix, then of the smallest metric; none without a route") {
  const auto address = [](const char* text) { return *IpAddress::parse(text); };
  const auto cidr = [](const char* text) { return *Cidr::parse(text); };
  const Way gateway{2, address("172.18.0.1"), std::nullopt};
  const Way link{2, std::nullopt, address("172.18.0.4")};
  const Way slow{3, std::nullopt, std::nullopt};
  const std::vector<MainRoute> routes{
      {cidr("0.0.0.0/0"), 0, gateway}, {cidr("172.18.0.0/24"), 100, slow}, {cidr("172.18.0.0/24"), 10, link}};
  const auto detour = detour_to({address("172.18.0.9"), address("10.9.9.9"), address("fd00::9")}, routes);
  CHECK(detour.rules == std::set{Family::kIpv4});
  CHECK(detour.routes == std::map<IpAddress, Way>{{address("172.18.0.9"), link}, {address("10.9.9.9"), gateway}});
  CHECK(detour_to({}, routes) == Detour{});
}
