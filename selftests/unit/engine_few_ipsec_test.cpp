// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "loader/engine/few.hpp"
#include "loader/state/cluster.hpp"
#include "loader/state/node_object.hpp"
#include "maps/marks.h"
#include "selftests/unit/few_changes.hpp"
#include "selftests/unit/plan_scene.hpp"
#include "selftests/unit/temporary_folder.hpp"

namespace sheath::engine {
namespace {

constexpr std::uint8_t kGeneration = 3;
constexpr const char* kKeyLine = "3 rfc4106(gcm(aes)) 000102030405060708090a0b0c0d0e0f10111213 128\n";

// The same cluster as that of engine_few_test.cpp, with IPsec: the run directory and the secrets are real, the kernel
// is the simulator's, and who was heard is said by the test.
class IpsecKeeper {
 public:
  // `with_keys`: the kernel shows the keys of its states.
  explicit IpsecKeeper(bool with_keys = true) : shows_keys_(with_keys), scene_(0) {
    scene_.config.encryption = state::Encryption::kIpsec;
    scene_.config.ipsec.key_file = folder_.write("keys", kKeyLine);
    scene_.config.paths.run = folder_.path();
    std::filesystem::create_directory(folder_ / "nodes");
    for (int i = 1; i <= 6; ++i) put(with_session(plan::make_node(i)));
    look_at_all();
    hear_all();
    look_at_all();
    look_at_all();
  }

  // Of the same generation as this node's, under the same key.
  state::Node with_session(state::Node node, std::uint8_t generation = kGeneration) {
    const auto key = keys::load_ipsec_key(scene_.config.ipsec.key_file);
    const auto session = keys::Session::draw(generation, *key, {}, std::chrono::nanoseconds(0));
    REQUIRE(session);
    node.wireguard_key.reset();
    node.ipsec_key_id = kGeneration;
    node.ipsec_sessions = {{generation, session->public_key(), session->tag(), kGeneration}};
    return node;
  }
  void put(const state::Node& node) {
    scene_.put(node);
    folder_.write("nodes/" + node.name + ".json", state::published_object(node));
    changed_.insert(node.name + ".json");
  }
  void remove(const std::string& name) {
    gone_[name] = scene_.cluster.at(name);
    scene_.cluster.erase(name);
    std::filesystem::remove(folder_ / ("nodes/" + name + ".json"));
    changed_.insert(name + ".json");
  }
  // As if a packet of each had come under what can be received.
  void hear_all() {
    for (const auto& seen : node_.ipsec.states) {
      if (seen.state.use == plan::StateUse::kReceive) hear(seen.state.node_id, seen.state.generation);
    }
  }
  void hear(std::uint16_t id, std::uint8_t generation) {
    const auto bit = static_cast<std::uint16_t>(1U << generation);
    node_.maps.heard[id].keys |= bit;
    node_.maps.heard[id].uses |= bit;
  }

  void look_at_all() {
    changed_.clear();
    REQUIRE(good_.read(source_, [](std::span<const state::NodeObject>) -> Result<> { return {}; }));
    for (bool again = true; again;) again = go_around();
  }

  // As it is when the key file cannot be read.
  std::optional<Few> plan_changes_without_secrets() {
    const auto files = source_.read_again(changed_);
    return plan_few(scene_.config, *memory_, good_, *files, {nullptr, digests_, {}});
  }

  std::optional<Few> plan_changes() {
    const auto files = source_.read_again(std::exchange(changed_, {}));
    if (!files || !memory_) return std::nullopt;
    const auto secrets = material();
    const auto heard = [this](const std::set<std::uint16_t>& ids) -> Result<std::map<std::uint16_t, plan::Heard>> {
      auto out = node_.maps.heard;
      std::erase_if(out, [&](const auto& entry) { return !ids.contains(entry.first); });
      return out;
    };
    return plan_few(scene_.config, *memory_, good_, *files, {&secrets, digests_, heard});
  }

  // The same steps as those of a plan for everything. Takes it.
  void check_against_all(const Few& few) {
    const auto inputs = all_inputs();
    CHECK(texts_of(few.plan) == texts_of(plan::make_plan(desired(inputs), node_)));
    do_all(few.plan);
    good_.take(few.update);
    if (!remember(few, *memory_)) memory_.reset();
  }

  state::Cluster& cluster() { return scene_.cluster; }
  const state::Cluster& gone() const { return gone_; }
  const state::Config& config() const { return scene_.config; }
  bool has_memory() const { return memory_.has_value(); }
  const std::set<std::string>& pending() const { return memory_->pending; }
  const plan::Actual& node() const { return node_; }
  std::uint8_t in_use(const std::string& name) const {
    const auto owner = node_.maps.node_ips.at(scene_.cluster.at(name).node_ips[0]);
    const auto& entry = node_.maps.peers.at(owner.node_id);
    return entry.ready ? static_cast<std::uint8_t>(entry.tx_mark >> SHEATH_MARK_KEY_SHIFT & 0xf) : 0;
  }

 private:
  IpsecMaterial material() const { return std::move(IpsecMaterial::load(scene_.config).value()); }

  plan::IpsecInputs all_inputs() {
    const auto secrets = material();
    secrets.describe(scene_.cluster.at("node0"));
    return secrets.inputs(scene_.config, scene_.cluster, node_.ipsec, digests_).value();
  }

  plan::Desired desired(const plan::IpsecInputs& inputs) const {
    auto out = plan::build_desired({scene_.config,
                                    scene_.cluster,
                                    scene_.facts,
                                    node_,
                                    plan::Publication{"/nodes/node0.json", "object"},
                                    {},
                                    false,
                                    &inputs});
    REQUIRE(out.has_value());
    return std::move(*out);
  }

  // True: what it published has changed, and the next one is due.
  bool go_around() {
    const auto inputs = all_inputs();
    const auto wanted = desired(inputs);
    const auto steps = plan::make_plan(wanted, node_);
    memory_ = Memory::of({scene_.config, scene_.cluster, scene_.facts, node_, &inputs, wanted, steps});
    do_all(steps);
    return std::ranges::any_of(steps, [](const plan::Step& step) {
      return std::holds_alternative<plan::DrawSession>(step) || std::holds_alternative<plan::RetireSession>(step);
    });
  }

  void do_all(const plan::Plan& steps) {
    const auto secrets = material();
    for (const auto& step : steps) {
      plan::apply_step(node_, step);
      if (const auto* add = std::get_if<plan::AddState>(&step)) {
        if (!shows_keys_) continue;
        const keys::KeyContext context{"node0", add->peer, add->session_key};
        const auto digests = digests_.digests(secrets.sessions().at(add->state.generation), context);
        const bool transmit = add->state.use == plan::StateUse::kTransmit;
        node_.ipsec.states.back().digest = transmit ? digests->transmit : digests->receive;
      } else if (const auto* record = std::get_if<plan::RecordPairs>(&step)) {
        REQUIRE(secrets.store().record(secrets.sessions().at(record->generation), record->sessions));
      } else if (const auto* retire = std::get_if<plan::RetireSession>(&step)) {
        REQUIRE(secrets.store().wipe(retire->generation));
      } else if (const auto* draw = std::get_if<plan::DrawSession>(&step)) {
        const auto drawn =
            keys::Session::draw(draw->generation, *secrets.psk(draw->psk_id), draw->taken_tags, boot_time());
        REQUIRE(secrets.store().save(*drawn));
      }
    }
  }

  // Probes are for whoever is looked at.
  static std::string texts_of(plan::Plan plan) {
    std::erase_if(plan, [](const plan::Step& step) { return std::holds_alternative<plan::SendProbes>(step); });
    auto lines = plan::texts(plan);
    std::ranges::sort(lines);
    return plan::joined(lines);
  }

  const bool shows_keys_;
  test::TemporaryFolder folder_;
  state::FileSource source_{folder_ / "nodes"};
  state::GoodNodes good_;
  DigestCache digests_;
  plan::Scene scene_;
  plan::Actual node_;
  std::optional<Memory> memory_;
  std::set<std::string> changed_;
  state::Cluster gone_;
};

Changes something_of_ipsec(IpsecKeeper& keeper, std::mt19937& random) {
  const auto below = [&](int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random); };
  const int number = 1 + below(9);
  const auto name = "node" + std::to_string(number);
  const auto known = keeper.cluster().find(name);
  if (known == keeper.cluster().end()) {
    if (const auto was = keeper.gone().find(name); was != keeper.gone().end() && below(2) == 0)
      return {{name, was->second}};
    auto node = keeper.with_session(plan::make_node(number));
    if (below(3) == 0) node.ipsec_sessions.clear();
    return {{name, node}};
  }
  auto node = known->second;
  switch (below(6)) {
    case 0:
      return {{name, std::nullopt}};
    case 1:  // rebooted
      return {{name, keeper.with_session(node)}};
    case 2:
      node.node_ips = {plan::address("172.20." + std::to_string(number) + "." + std::to_string(below(200)))};
      if (below(2) == 0) node = keeper.with_session(node);
      return {{name, node}};
    case 3:
      node.pod_cidrs[0] = plan::cidr("10." + std::to_string(100 + number) + "." + std::to_string(below(200)) + ".0/24");
      return {{name, node}};
    case 4: {  // known by another name from now on
      auto renamed = node;
      renamed.name = "node" + std::to_string(10 + below(5));
      if (keeper.cluster().contains(renamed.name)) return {};
      return {{name, std::nullopt}, {renamed.name, keeper.with_session(renamed)}};
    }
    default:
      return swap_pods(keeper.cluster(), node, "node" + std::to_string(number % 9 + 1));
  }
}

TEST_CASE("few nodes, IPsec: a round about them has the steps of a round over everything") {
  std::mt19937 random(11);
  int small = 0;
  for (int run = 0; run < 20; ++run) {
    IpsecKeeper keeper(run % 4 != 0);
    REQUIRE(keeper.has_memory());
    for (int step = 0; step < 25; ++step) {
      CAPTURE(run);
      CAPTURE(step);
      const auto what = random() % 4;
      if (what == 0) keeper.hear_all();
      if (random() % 8 == 0) keeper.hear(static_cast<std::uint16_t>(1 + random() % 12), kGeneration);  // late
      for (unsigned i = 0; i < what; ++i) let_happen(keeper, something_of_ipsec(keeper, random));
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

TEST_CASE("few nodes, IPsec: a node joins, is heard, and goes, and nobody else is looked at") {
  IpsecKeeper keeper;
  REQUIRE(keeper.has_memory());
  CHECK(keeper.pending().empty());
  const auto go_on = [&] {
    const auto few = keeper.plan_changes();
    REQUIRE(few);
    keeper.check_against_all(*few);
    REQUIRE(keeper.has_memory());
    return plan::is_settled(*few->desired.ipsec);
  };
  const auto states = keeper.node().ipsec.states.size();
  keeper.put(keeper.with_session(plan::make_node(7)));
  go_on();
  CHECK(keeper.node().ipsec.states.size() == states + 2);
  CHECK(keeper.pending() == std::set<std::string>{"node7"});
  CHECK(keeper.in_use("node7") == 0);
  go_on();
  CHECK(keeper.in_use("node7") == 0);
  keeper.hear_all();
  CHECK_FALSE(go_on());
  CHECK(keeper.in_use("node7") == kGeneration);
  CHECK(go_on());
  CHECK(keeper.pending().empty());
  keeper.remove("node7");
  CHECK(go_on());
  CHECK(keeper.node().ipsec.states.size() == states);
  CHECK(keeper.pending().empty());
}

TEST_CASE("few nodes, IPsec: keys that were used are not used again by one who comes back") {
  IpsecKeeper keeper;
  const auto node = keeper.cluster().at("node4");
  keeper.remove("node4");
  const auto few = keeper.plan_changes();
  REQUIRE(few);
  keeper.check_against_all(*few);
  keeper.put(node);
  CHECK_FALSE(keeper.plan_changes());  // this node has to draw a new session
}

TEST_CASE("few nodes, IPsec: without this node's secrets everything is looked at") {
  IpsecKeeper keeper;
  keeper.put(keeper.with_session(plan::make_node(8)));
  CHECK_FALSE(keeper.plan_changes_without_secrets());
  CHECK(keeper.plan_changes());
}

TEST_CASE("few nodes, IPsec: where more is at stake everything is looked at") {
  IpsecKeeper keeper;
  auto node = keeper.with_session(plan::make_node(8));
  SUBCASE("another generation") {
    node = keeper.with_session(plan::make_node(8), kGeneration + 1);
  }
  SUBCASE("another's SPI") {
    node.ipsec_sessions[0].tag = keeper.cluster().at("node2").ipsec_sessions[0].tag;
  }
  SUBCASE("this node's SPI") {
    node.ipsec_sessions[0].tag = keeper.cluster().at("node0").ipsec_sessions[0].tag;
  }
  SUBCASE("another key of the key file") {
    node.ipsec_sessions[0].psk_id = 9;
  }
  keeper.put(node);
  CHECK_FALSE(keeper.plan_changes());
}

TEST_CASE("few nodes, IPsec: what a round over everything found of those that it waits for is kept") {
  IpsecKeeper keeper;
  keeper.put(keeper.with_session(plan::make_node(7)));
  keeper.look_at_all();
  keeper.look_at_all();
  REQUIRE(keeper.has_memory());
  CHECK(keeper.pending() == std::set<std::string>{"node7"});
  keeper.hear_all();
  const auto few = keeper.plan_changes();
  REQUIRE(few);
  keeper.check_against_all(*few);
  CHECK(keeper.in_use("node7") == kGeneration);
}

TEST_CASE("few nodes, IPsec: a kernel that shows no keys: a session that is drawn again is seen all the same") {
  IpsecKeeper keeper(false);
  REQUIRE(keeper.pending().empty());
  keeper.put(keeper.with_session(keeper.cluster().at("node3")));
  const auto few = keeper.plan_changes();
  REQUIRE(few);
  CHECK(plan::steps_of<plan::DropState>(few->plan).size() == 2);
  CHECK(plan::steps_of<plan::AddState>(few->plan).size() == 2);
  keeper.check_against_all(*few);
  CHECK(keeper.in_use("node3") == 0);
}

TEST_CASE("few nodes, IPsec: of many that are waited for nothing is kept") {
  IpsecKeeper keeper;
  for (int i = 10; i < 10 + static_cast<int>(plan::StandingIpsec::kMaxPending); ++i)
    keeper.put(keeper.with_session(plan::make_node(i)));
  keeper.look_at_all();
  CHECK(keeper.has_memory());
  keeper.put(keeper.with_session(plan::make_node(200)));
  keeper.look_at_all();
  CHECK_FALSE(keeper.has_memory());
}

}  // namespace
}  // namespace sheath::engine
