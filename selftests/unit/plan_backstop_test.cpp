// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "selftests/unit/plan_scene.hpp"

namespace sheath::plan {
namespace {

TEST_CASE("plan: switching modes replaces programs, and the backstop drops or counts") {
  Scene scene;
  const auto strict = scene.applied();
  scene.config.mode = state::Mode::kPermissive;
  const auto to_permissive = scene.plan(strict);
  CHECK(to_permissive.size() == 4);
  CHECK(steps_of<Attach>(to_permissive).size() == 3);
  const auto permissive = apply_all(strict, to_permissive);
  scene.config.mode = state::Mode::kStrict;
  const auto back = scene.plan(permissive);
  CHECK(back.size() == 4);
  CHECK(steps_of<Attach>(back).size() == 3);
}

TEST_CASE(
    "plan: the backstop lets pass what is watched; it comes after the closing, and opens after permissive mode came") {
  Scene scene;
  const auto virgin = scene.plan({});
  REQUIRE(std::holds_alternative<Fence>(virgin[0]));
  const auto& backstop = std::get<SetBackstop>(virgin[1]).backstop;
  CHECK(backstop.watched == std::map<std::uint32_t, std::string>{{2, "eth0"}});
  CHECK(backstop.own == std::set<std::string>{"cilium_wg0"});
  CHECK(backstop.local == std::set<Cidr>{cidr("10.0.0.0/24"), cidr("fd00:10::/64")});
  CHECK(backstop.cluster == std::set<Cidr>{cidr("10.0.0.0/8"), cidr("fd00:10::/32")});

  auto node = scene.applied();
  CHECK(scene.plan(node).empty());
  node.backstop = 0;  // somebody deleted a rule
  CHECK(steps_of<SetBackstop>(scene.plan(node)).size() == 1);
  node.backstop.reset();
  CHECK(
      texts(scene.plan(node)) ==
      std::vector<std::string>{
          "drop on devices other than eth0, cilium_wg0, lo: what pods of 10.0.0.0/8, fd00:10::/32 send to each other"});
  node = scene.applied();
  scene.facts.overlays = {{"flannel.1", 5, 14, true}};
  const auto covering = scene.plan(node);
  REQUIRE(covering.size() == 2);
  CHECK(std::get<SetBackstop>(covering[1]).backstop.watched.at(5) == "flannel.1");
  node = scene.applied(node);

  // A device that was made again under its name is another one.
  scene.facts.overlays[0].ifindex = 6;
  CHECK(steps_of<SetBackstop>(scene.plan(node)).size() == 1);
  scene.facts.overlays[0].ifindex = 5;

  scene.config.mode = state::Mode::kPermissive;
  const auto opening = scene.plan(node);
  CHECK_FALSE(std::get<SetBackstop>(opening.back()).backstop.drops);
  CHECK(steps_of<Attach>(opening).size() + 1 == opening.size());
  CHECK(texts(opening).back().starts_with("count on devices other than"));
  CHECK(scene.plan(apply_all(node, opening)).empty());

  scene.config.backstop = false;
  CHECK(std::holds_alternative<RemoveBackstop>(scene.plan(node).back()));
  CHECK(steps_of<RemoveBackstop>(make_unload_plan(node)).size() == 1);
}

TEST_CASE("plan: no backstop where it was forbidden, the pods' range is unknown, or the kernel has no nf_tables") {
  for (const int without : {0, 1, 2}) {
    Scene scene;
    if (without == 0) scene.config.backstop = false;
    if (without == 1) scene.config.cluster_pod_cidrs.clear();
    if (without == 2) scene.facts.has_nf_tables = false;
    CHECK(steps_of<SetBackstop>(scene.plan({})).empty());
    CHECK(scene.desired({}).warnings.empty() == (without == 0));
  }
}

// Peers 1 and 2 encrypt their node traffic and say so, and so does node0.
Scene encrypting_nodes() {
  Scene scene;
  scene.config.node_encryption = true;
  for (const auto* name : {"node1", "node2"}) scene.cluster[name].node_encryption = true;
  return scene;
}

Plan plan_saying_so(const Scene& scene, const Actual& actual) {
  const auto desired =
      build_desired({scene.config, scene.cluster, scene.facts, actual, std::nullopt, std::nullopt, true});
  REQUIRE(desired.has_value());
  return make_plan(*desired, actual);
}

TEST_CASE("plan: the backstop closes node traffic with the peers where plaintext is refused, and no others") {
  auto scene = encrypting_nodes();
  const auto sending = scene.applied();
  CHECK(steps_of<SetBackstop>(scene.plan({}))[0].backstop.nodes == BackstopNodes{});

  const auto closing = plan_saying_so(scene, sending);
  const auto sets = steps_of<SetBackstop>(closing);
  REQUIRE(sets.size() == 1);
  const auto& nodes = sets[0].backstop.nodes;
  CHECK(nodes.own == std::set{address("172.0.0.1")});
  CHECK(nodes.peers == std::set{address("172.0.1.1"), address("172.0.2.1")});
  CHECK(nodes.pods ==
        std::set{cidr("10.0.1.0/24"), cidr("10.0.2.0/24"), cidr("fd00:10:1::/64"), cidr("fd00:10:2::/64")});
  CHECK(nodes.outer_mark == 0xe00);
  CHECK(nodes.wireguard_port == 51871);
  CHECK(texts(closing)[0] ==
        "drop on devices other than eth0, cilium_wg0, lo: what pods of 10.0.0.0/8, fd00:10::/32 send to each other: "
        "node traffic with 2 addresses of peers");
  const auto closed = apply_all(sending, closing);
  CHECK(plan_saying_so(scene, closed).empty());

  // It needs no range of pods; and what a peer gives up is open again.
  scene.config.cluster_pod_cidrs.clear();
  CHECK(steps_of<SetBackstop>(plan_saying_so(scene, closed))[0].backstop.nodes == nodes);
  scene.config.node_encryption = false;
  const auto opened = apply_all(closed, plan_saying_so(scene, closed));
  CHECK(plan_saying_so(scene, apply_all(opened, plan_saying_so(scene, opened))).empty());
  CHECK_FALSE(apply_all(opened, plan_saying_so(scene, opened)).backstop.has_value());
}

TEST_CASE("plan: each word of a backstop counts in its digest") {
  Backstop backstop;
  backstop.nodes = {{address("172.0.0.1")}, {address("172.0.1.1")}, {cidr("10.0.1.0/24")}, 0xe00, 51871, 0};
  std::set<std::uint64_t> digests{digest(backstop)};
  const auto changed = [&](auto change) {
    auto other = backstop;
    change(other.nodes);
    digests.insert(digest(other));
  };
  changed([](BackstopNodes& nodes) { nodes.own.insert(address("172.0.0.2")); });
  changed([](BackstopNodes& nodes) { nodes.peers.clear(); });
  changed([](BackstopNodes& nodes) { nodes.pods = {cidr("10.0.1.0/25")}; });
  changed([](BackstopNodes& nodes) { nodes.outer_mark = 0; });
  changed([](BackstopNodes& nodes) { nodes.wireguard_port = 0; });
  changed([](BackstopNodes& nodes) { nodes.vxlan_port = 8472; });
  CHECK(digests.size() == 7);
}

}  // namespace
}  // namespace sheath::plan
