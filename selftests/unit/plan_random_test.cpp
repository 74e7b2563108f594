// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "loader/plan/desired.hpp"
#include "loader/plan/planner.hpp"
#include "selftests/unit/plan_oracle.hpp"
#include "selftests/unit/plan_scene.hpp"
#include "selftests/unit/plan_simulator.hpp"

// Plans between clusters drawn at random: an oracle looks at the node between each two steps.
namespace sheath::plan {
namespace {

// A quarter of them, or all with SHEATH_SOAK.
unsigned seeds_of(unsigned all) {
  return std::getenv("SHEATH_SOAK") == nullptr ? all / 4 : all;
}

class Chance {
 public:
  explicit Chance(unsigned seed) : engine_(seed) {}
  int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(engine_); }
  bool one_in(int count) { return below(count) == 0; }

 private:
  std::mt19937 engine_;
};

state::Node random_node(Chance& chance, int number) {
  auto node = make_node(number);
  if (chance.one_in(5))
    node.wireguard_key.reset();
  else if (chance.one_in(5))
    node.wireguard_key = key_of(number + 100);
  if (chance.one_in(5)) node.pod_cidrs.pop_back();
  if (chance.one_in(5)) node.pod_cidrs.push_back(cidr("10." + two(number + 500) + ".0/24"));
  if (chance.one_in(6)) node.node_ips = {address("fd00:172::" + std::to_string(number))};
  return node;
}

Scene random_scene(Chance& chance) {
  Scene scene(0);
  for (int i = 1; i <= 6; ++i) {
    if (chance.one_in(4)) continue;
    scene.put(random_node(chance, i));
  }
  // A pod CIDR may move from one node to another.
  if (chance.one_in(2)) {
    auto& node = std::next(scene.cluster.begin(), chance.below(static_cast<int>(scene.cluster.size())))->second;
    if (node.name != "node0") node.pod_cidrs.push_back(cidr("10.77.7.0/24"));
  }
  if (chance.one_in(3)) scene.facts.uplinks.push_back({"eth1", chance.one_in(2) ? 9000u : 1400u, 14, {}});
  if (chance.one_in(6)) scene.facts.uplinks.erase(scene.facts.uplinks.begin());
  if (scene.facts.uplinks.empty()) scene.facts.uplinks = {{"eth1", 1500, 14, {}}};
  if (chance.one_in(4)) scene.config.mode = state::Mode::kPermissive;
  if (chance.one_in(5)) scene.config.wireguard.listen_port = 51999;
  if (chance.one_in(4)) scene.config.cluster_pod_cidrs.pop_back();
  if (chance.one_in(4)) scene.facts.builds[SHEATH_DIRECTION_uplink_egress] = 42;
  if (chance.one_in(3)) {
    scene.config.fast_path = true;
    scene.facts.pods[address("10.0.0.5")] = {"veth5", {5, {1}, {2}}};
    if (chance.one_in(2)) scene.facts.pods[address("10.0.0.6")] = {"veth6", {6, {1}, {2}}};
  }
  return scene;
}

// A node that an apply left behind: finished or cut, and perhaps with its tunnel lost since.
Actual random_actual(Chance& chance) {
  Actual actual;
  for (int round = chance.below(3); round > 0; --round) {
    const auto plan = random_scene(chance).plan(actual);
    const auto cut =
        chance.one_in(3) ? static_cast<std::size_t>(chance.below(static_cast<int>(plan.size()) + 1)) : plan.size();
    actual = apply_all(actual, {plan.begin(), plan.begin() + static_cast<std::ptrdiff_t>(cut)});
  }
  if (actual.tunnel && chance.one_in(4)) Simulator::lose_tunnel(actual);
  return actual;
}

// The tunnel without the endpoints that WireGuard learnt: the planner leaves those alone.
std::optional<Tunnel> comparable(std::optional<Tunnel> tunnel, const Desired& desired) {
  for (auto& [key, peer] : tunnel->peers) {
    const auto wanted = desired.tunnel->peers.find(key);
    if (wanted != desired.tunnel->peers.end() && !wanted->second.endpoint) peer.endpoint.reset();
  }
  return tunnel;
}

}  // namespace

TEST_CASE("plan: at every boundary of random plans packets are encrypted to the right peer or dropped") {
  unsigned strict = 0;
  const auto seeds = seeds_of(1500);
  for (unsigned seed = 0; seed < seeds; ++seed) {
    CAPTURE(seed);
    Chance chance(seed);
    const auto actual = random_actual(chance);
    const auto desired = random_scene(chance).desired(actual);
    if (!is_strict(desired)) continue;
    ++strict;
    CHECK(broken_promise(desired, actual, make_plan(desired, actual)) == "");
  }
  CHECK(strict > seeds / 3);
}

TEST_CASE("plan: from every boundary of random plans, planning again leads to the same end") {
  const auto seeds = seeds_of(150);
  for (unsigned seed = 0; seed < seeds; ++seed) {
    CAPTURE(seed);
    Chance chance(seed);
    auto now = random_actual(chance);
    const auto scene = random_scene(chance);
    const auto plan = scene.plan(now);
    for (std::size_t cut = 0; cut <= plan.size(); ++cut) {
      auto end = scene.applied(now);
      if (!scene.desired(now).knocks.empty()) end = scene.applied(end);
      CAPTURE(cut);
      CHECK(texts(scene.plan(end)).empty());
      CHECK(end.maps == scene.desired(end).maps);
      CHECK(comparable(end.tunnel, scene.desired(end)) == scene.desired(end).tunnel);
      CHECK(end.programs == scene.desired(end).programs);
      CHECK(end.orphans.empty());
      if (cut < plan.size()) apply_step(now, plan[cut]);
    }
  }
}

TEST_CASE("plan: no step names a peer that does not differ") {
  for (unsigned seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    Chance chance(seed);
    const auto actual = random_actual(chance);
    const auto desired = random_scene(chance).desired(actual);
    if (!actual.tunnel) continue;
    const auto plan = make_plan(desired, actual);
    const auto same = [&](const keys::PublicKey& key) {
      const auto was = actual.tunnel->peers.find(key);
      const auto will = desired.tunnel->peers.find(key);
      return was != actual.tunnel->peers.end() && will != desired.tunnel->peers.end() && was->second == will->second;
    };
    for (const auto& step : steps_of<SetTunnelPeer>(plan)) CHECK_FALSE(same(step.key));
    for (const auto& step : steps_of<DropAllowedIps>(plan)) CHECK_FALSE(same(step.key));
    for (const auto& step : steps_of<RemoveTunnelPeer>(plan)) CHECK_FALSE(same(step.key));
  }
}

TEST_CASE("plan: the oracle sees wrong orders") {
  Scene scene;
  SUBCASE("programs attached after the tunnel instead of first") {
    auto plan = scene.plan({});
    std::ranges::rotate(plan.begin(), plan.begin() + 1, plan.begin() + 4);
    CHECK(broken_promise(scene.desired({}), {}, plan).find("passes in plaintext") != std::string::npos);
  }
  SUBCASE("a prefix forgotten before it is written anew") {
    const auto actual = scene.applied();
    auto plan = scene.plan(actual);
    plan.emplace(plan.begin(), DeletePodCidr{cidr("10.0.1.0/24")});
    scene.config.cluster_pod_cidrs.clear();
    plan = {DeletePodCidr{cidr("10.0.0.0/8")}, DeletePodCidr{cidr("10.0.1.0/24")}};
    CHECK(broken_promise(scene.desired(actual), actual, plan).find("10.0.1.9 by eth0") != std::string::npos);
  }
  SUBCASE("the old uplink program detached before the new one") {
    const auto actual = scene.applied();
    scene.facts.builds[SHEATH_DIRECTION_uplink_egress] = 7;
    auto plan = scene.plan(actual);
    plan.emplace(plan.begin(), Detach{{SHEATH_DIRECTION_uplink_egress, "eth0"}});
    CHECK(broken_promise(scene.desired(actual), actual, plan).find("passes in plaintext") != std::string::npos);
  }
  SUBCASE("an unchanged peer removed and added again") {
    const auto actual = scene.applied();
    const Plan plan{RemoveTunnelPeer{kWireguardDevice, key_of(1)}};
    CHECK(broken_promise(scene.desired(actual), actual, plan).find("did not change") != std::string::npos);
  }
  SUBCASE("a prefix given to the wrong peer") {
    const auto actual = scene.applied();
    const Plan plan{SetTunnelPeer{kWireguardDevice, key_of(2), {}, {}, {cidr("10.0.1.0/24")}, false}};
    CHECK(broken_promise(scene.desired(actual), actual, plan).find("wrong peer") != std::string::npos);
  }
}

}  // namespace sheath::plan
