// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "loader/engine/few.hpp"
#include "loader/state/cluster.hpp"
#include "loader/state/node_object.hpp"
#include "selftests/unit/few_changes.hpp"
#include "selftests/unit/plan_scene.hpp"
#include "selftests/unit/temporary_folder.hpp"

namespace sheath::engine {
namespace {

using plan::Scene;

std::optional<Memory> memory_after(const Scene& scene, const plan::Desired& desired) {
  return Memory::of({scene.config, scene.cluster, scene.facts, {}, nullptr, desired, {}});
}

std::optional<Memory> memory_after(const Scene& scene) {
  return memory_after(scene, scene.desired({}));
}

// A cluster in a folder, a file a node, and a node0 that keeps up with it: by rounds over everything, and by rounds
// about what has changed.
class Keeper {
 public:
  Keeper() : scene_(0) {
    for (int i = 1; i <= 6; ++i) put(plan::make_node(i));
    look_at_all();
  }

  void put(const state::Node& node) {
    scene_.put(node);
    folder_.write(node.name + ".json", state::published_object(node));
    changed_.insert(node.name + ".json");
  }
  void remove(const std::string& name) {
    scene_.cluster.erase(name);
    std::filesystem::remove(folder_.path() / (name + ".json"));
    changed_.insert(name + ".json");
  }
  state::Cluster& cluster() { return scene_.cluster; }
  state::Config& config() { return scene_.config; }

  void look_at_all() {
    changed_.clear();
    REQUIRE(good_.read(source_, [](std::span<const state::NodeObject>) -> Result<> { return {}; }));
    const auto desired = scene_.desired(node_);
    node_ = plan::apply_all(node_, plan::make_plan(desired, node_));
    memory_ = memory_after(scene_, desired);
    REQUIRE(memory_);
  }

  std::optional<Few> plan_changes() {
    const auto files = source_.read_again(std::exchange(changed_, {}));
    return files ? plan_few(scene_.config, *memory_, good_, *files, {nullptr, digests_, {}}) : std::nullopt;
  }

  // The same steps as those of a plan for everything, and the same end. Takes it.
  void check_against_all(const Few& few) {
    const auto whole = scene_.plan(node_);
    auto wanted = plan::texts(whole), found = plan::texts(few.plan);
    std::ranges::sort(wanted);
    std::ranges::sort(found);
    CHECK(plan::joined(found) == plan::joined(wanted));
    node_ = plan::apply_all(node_, few.plan);
    CHECK(scene_.plan(node_).empty());
    good_.take(few.update);
    CHECK(remember(few, *memory_));
  }
  const std::set<std::string>& pending() const { return memory_->pending; }

 private:
  test::TemporaryFolder folder_;
  state::FileSource source_{folder_.path()};
  state::GoodNodes good_;
  Scene scene_;
  plan::Actual node_;
  std::optional<Memory> memory_;
  DigestCache digests_;
  std::set<std::string> changed_;
};

Changes something(const state::Cluster& cluster, std::mt19937& random) {
  const auto below = [&](int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random); };
  const int number = 1 + below(9);
  const auto name = "node" + std::to_string(number);
  const auto known = cluster.find(name);
  if (known == cluster.end()) return {{name, plan::make_node(number)}};
  auto node = known->second;
  switch (below(5)) {
    case 0:
      return {{name, std::nullopt}};
    case 1:
      node.wireguard_key = plan::key_of(1000 + below(50'000));
      return {{name, node}};
    case 2:
      node.node_ips = {plan::address("172.20." + std::to_string(number) + "." + std::to_string(below(200)))};
      return {{name, node}};
    case 3:
      node.pod_cidrs[0] = plan::cidr("10." + std::to_string(100 + number) + "." + std::to_string(below(200)) + ".0/24");
      return {{name, node}};
    default:
      return swap_pods(cluster, node, "node" + std::to_string(number % 9 + 1));
  }
}

TEST_CASE("few nodes: a round about them has the steps of a round over everything") {
  std::mt19937 random(7);
  int small = 0;
  for (int run = 0; run < 30; ++run) {
    Keeper keeper;
    for (int step = 0; step < 12; ++step) {
      CAPTURE(run);
      CAPTURE(step);
      const auto changes = 1 + random() % 3;
      for (unsigned i = 0; i < changes; ++i) let_happen(keeper, something(keeper.cluster(), random));
      if (const auto few = keeper.plan_changes()) {
        ++small;
        keeper.check_against_all(*few);
      } else {
        keeper.look_at_all();
      }
    }
  }
  CHECK(small > 300);
}

TEST_CASE("few nodes: where more is at stake everything is looked at") {
  Keeper keeper;
  keeper.put(plan::make_node(7));
  CHECK(keeper.plan_changes());

  auto node = plan::make_node(8);
  SUBCASE("this node itself") {
    node = plan::make_node(0);
  }
  SUBCASE("a prefix of another's") {
    node.pod_cidrs[0] = plan::make_node(2).pod_cidrs[0];
  }
  SUBCASE("another's key") {
    node.wireguard_key = plan::key_of(2);
  }
  SUBCASE("a length of prefixes that no program knows") {
    node.pod_cidrs[0] = plan::cidr("10.200.0.0/20");
  }
  SUBCASE("a node that encrypts its node traffic") {
    node.node_encryption = true;
  }
  keeper.put(node);
  CHECK_FALSE(keeper.plan_changes());
}

TEST_CASE("few nodes: a node without a key is dropped to, and waited for") {
  Keeper keeper;
  auto node = plan::make_node(7);
  node.wireguard_key.reset();
  keeper.put(node);
  const auto few = keeper.plan_changes();
  REQUIRE(few);
  CHECK(few->desired.waiting_for_key == std::vector<std::string>{"node7"});
  CHECK(plan::steps_of<plan::SetTunnelPeer>(few->plan).empty());
  keeper.check_against_all(*few);
  CHECK(keeper.pending() == std::set<std::string>{"node7"});

  keeper.put(plan::make_node(8));
  const auto other = keeper.plan_changes();
  REQUIRE(other);
  CHECK(other->desired.waiting_for_key == std::vector<std::string>{"node7"});
  keeper.check_against_all(*other);

  keeper.put(plan::make_node(7));
  const auto then = keeper.plan_changes();
  REQUIRE(then);
  keeper.check_against_all(*then);
  CHECK(keeper.pending().empty());
}

TEST_CASE("few nodes: not with VXLAN, node encryption, or where routes count") {
  Scene scene;
  CHECK(memory_after(scene));
  SUBCASE("VXLAN") {
    for (auto& [name, node] : scene.cluster) node.router_ips = {node.pod_cidrs[0].address};
    scene.config.routing = state::Routing::kVxlan;
    CHECK_FALSE(memory_after(scene));
  }
  SUBCASE("node encryption") {
    scene.config.node_encryption = true;
    CHECK_FALSE(memory_after(scene));
  }
  SUBCASE("a peer's node encryption") {
    scene.cluster["node1"].node_encryption = true;
    CHECK_FALSE(memory_after(scene));
  }
  SUBCASE("routes") {
    scene.facts.routes = {{plan::cidr("0.0.0.0/0"), 0, {2, {}, {}}}};
    CHECK(memory_after(scene));  // there is but one way
    scene.facts.uplinks.push_back({"eth1", 1500, 14, {}, 3});
    CHECK_FALSE(memory_after(scene));
  }
}

}  // namespace
}  // namespace sheath::engine
