// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>

#include "loader/plan/describe.hpp"
#include "loader/plan/desired.hpp"
#include "loader/plan/planner.hpp"
#include "selftests/unit/plan_oracle.hpp"
#include "selftests/unit/plan_scene.hpp"
#include "selftests/unit/plan_simulator.hpp"

namespace sheath::plan {

TEST_CASE("desired: a pod's program knows the pod's addresses, the others this node's pod CIDRs") {
  Scene scene(2);
  scene.config.fast_path = true;
  scene.facts.pods[*IpAddress::parse("10.0.0.5")] = {"veth5", {5, {1}, {2}}};
  scene.facts.pods[*IpAddress::parse("10.0.0.6")] = {"veth6", {6, {1}, {2}}};
  const auto programs = scene.desired({}).programs;
  CHECK(programs.at({SHEATH_DIRECTION_pod_egress, "veth5"}).own_pods == std::set{*Cidr::parse("10.0.0.5/32")});
  CHECK(programs.at({SHEATH_DIRECTION_pod_egress, "veth6"}).own_pods == std::set{*Cidr::parse("10.0.0.6/32")});
  const auto& own = scene.cluster.at("node0").pod_cidrs;
  for (const auto& [where, settings] : programs) {
    CHECK(settings.tunnel_mtu == 1420);
    if (where.program != SHEATH_DIRECTION_pod_egress)
      CHECK(settings.own_pods == std::set<Cidr>(own.begin(), own.end()));
  }
}

TEST_CASE("plan: a virgin node in strict mode is closed by the first step, and open to peers by the last ones") {
  const Scene scene;
  const auto desired = scene.desired({});
  const auto plan = make_plan(desired, {});
  REQUIRE(std::holds_alternative<Fence>(plan.front()));
  const auto& fence = std::get<Fence>(plan.front());
  CHECK(fence.maps.pod_cidrs == desired.maps.pod_cidrs);
  CHECK(fence.programs.size() == 2);
  for (const auto& [where, settings] : fence.programs) CHECK(settings.tunnel == TunnelReference::kFenced);
  for (const auto& [id, entry] : fence.maps.peers) CHECK_FALSE(entry.ready);

  const auto lines = texts(plan, desired.names);
  CHECK(lines.front() ==
        "close the node: pin the maps, write 4 node IPs and 10 pod CIDRs, attach uplink_egress to eth0, "
        "uplink_ingress to eth0 (strict, fenced: no tunnel yet)");
  CHECK(lines[1].starts_with("drop on devices other than "));
  CHECK(lines[1].ends_with(": what pods of 10.0.0.0/8, fd00:10::/32 send to each other"));
  CHECK(lines[2] == "create cilium_wg0");
  CHECK(lines[4] == "set the MTU of cilium_wg0 to 1420");
  CHECK(lines[7] == "publish this node's object as /nodes/node0.json");
  CHECK(lines[8] == "attach tunnel_ingress to cilium_wg0 (strict, tunnel cilium_wg0)");
  CHECK(lines[9] ==
        "add peer node1 of cilium_wg0, endpoint 172.0.1.1:51871, allowed IPs 10.0.1.0/24, "
        "172.0.1.1/32, fd00:10:1::/64");
  CHECK(lines[12] == "mark node1 (node 1) ready");
  CHECK(lines.back() == "attach uplink_ingress to eth0 (strict, tunnel cilium_wg0)");
  CHECK(lines.size() == 17);
}

TEST_CASE("plan: in permissive mode the programs come last and nothing is fenced") {
  Scene scene;
  scene.config.mode = state::Mode::kPermissive;
  const auto plan = scene.plan({});
  CHECK(std::holds_alternative<CreateMaps>(plan.front()));
  CHECK(steps_of<Fence>(plan).empty());
  CHECK(std::get<Attach>(plan.at(plan.size() - 3)).where.program == SHEATH_DIRECTION_uplink_ingress);
  CHECK_FALSE(std::get<SetBackstop>(plan.at(plan.size() - 2)).backstop.drops);
  CHECK(std::holds_alternative<SendProbes>(plan.back()));
}

TEST_CASE("plan: in permissive mode a peer is sent plaintext until it has shaken hands, and knocked at meanwhile") {
  Scene scene;
  scene.config.mode = state::Mode::kPermissive;
  const auto desired = scene.desired({});
  CHECK(desired.waits.size() == desired.tunnel->peers.size());
  CHECK(std::ranges::none_of(desired.maps.peers, [](const auto& entry) { return entry.second.ready; }));
  auto now = apply_all({}, scene.plan({}));
  now.shaken_hands.clear();
  // As often as it takes, and nothing else.
  REQUIRE(scene.plan(now).size() == 1);
  const auto knocks = std::get<SendProbes>(scene.plan(now)[0]);
  CHECK(knocks.device == kWireguardDevice);
  CHECK(knocks.probes.size() == desired.tunnel->peers.size());
  CHECK(knocks.probes[0].source == scene.cluster.at(scene.config.node_name).pod_cidrs[0].address);
  const auto after = apply_all(now, scene.plan(now));
  const auto flip = scene.plan(after);
  CHECK(steps_of<SetPeer>(flip).size() == flip.size());
  CHECK(flip.size() == desired.tunnel->peers.size());
  const auto end = apply_all(after, flip);
  CHECK(scene.plan(end).empty());
  CHECK(scene.desired(end).waits.empty());
  // From then on it is sent to, handshake or not; with another key it has to shake hands again.
  auto restarted = end;
  restarted.shaken_hands.clear();
  CHECK(scene.plan(restarted).empty());
  restarted.tunnel->peers.clear();
  CHECK(scene.desired(restarted).waits.size() == desired.tunnel->peers.size());
}

TEST_CASE("plan: what is applied needs nothing more") {
  const Scene scene;
  const auto actual = scene.applied();
  CHECK(texts(scene.plan(actual)).empty());
  CHECK(actual.maps == scene.desired(actual).maps);
  CHECK(actual.programs == scene.desired(actual).programs);
}

TEST_CASE("plan: a new peer's prefixes are known before its tunnel, and it is ready last") {
  Scene scene;
  const auto actual = scene.applied();
  scene.put(make_node(9));
  const auto plan = scene.plan(actual);
  CHECK(texts(plan) ==
        std::vector<std::string>{"node IP 172.0.9.1 is of node 4", "pod CIDR 10.0.9.0/24 is of node 4",
                                 "pod CIDR fd00:10:9::/64 is of node 4",
                                 "add peer " + key_of(9).text() +
                                     " of cilium_wg0, endpoint 172.0.9.1:51871, allowed IPs 10.0.9.0/24, 172.0.9.1/32, "
                                     "fd00:10:9::/64",
                                 "mark node 4 ready"});
}

TEST_CASE("plan: a peer that goes is not sent to, then has no tunnel, then is forgotten") {
  Scene scene;
  const auto actual = scene.applied();
  scene.cluster.erase("node2");
  const auto plan = scene.plan(actual);
  CHECK(texts(plan) == std::vector<std::string>{"forget node 2", "remove peer " + key_of(2).text() + " of cilium_wg0",
                                                "forget pod CIDR 10.0.2.0/24", "forget pod CIDR fd00:10:2::/64",
                                                "forget node IP 172.0.2.1"});
}

TEST_CASE("plan: a peer's new key takes over its prefixes before the old one goes") {
  Scene scene;
  const auto actual = scene.applied();
  scene.cluster["node1"].wireguard_key = key_of(50);
  const auto plan = scene.plan(actual);
  REQUIRE(plan.size() == 2);
  const auto& added = std::get<SetTunnelPeer>(plan[0]);
  CHECK(added.key == key_of(50));
  CHECK(added.create);
  CHECK(added.add_allowed_ips.size() == 3);
  CHECK(std::get<RemoveTunnelPeer>(plan[1]).key == key_of(1));
}

TEST_CASE("plan: a peer that loses its key is marked before its tunnel goes, and stays known") {
  Scene scene;
  const auto actual = scene.applied();
  scene.cluster["node1"].wireguard_key.reset();
  const auto desired = scene.desired(actual);
  CHECK(desired.waiting_for_key == std::vector<std::string>{"node1"});
  CHECK(texts(make_plan(desired, actual)) ==
        std::vector<std::string>{"mark node 1 not ready", "remove peer " + key_of(1).text() + " of cilium_wg0"});
}

TEST_CASE("plan: a prefix that moves goes to its new peer in one step, and one that is given up is taken away alone") {
  Scene scene;
  scene.cluster["node1"].pod_cidrs.push_back(cidr("10.9.9.0/24"));
  const auto before = scene.applied();
  scene.cluster["node1"].pod_cidrs.pop_back();

  SUBCASE("given up") {
    const auto drops = steps_of<DropAllowedIps>(scene.plan(before));
    REQUIRE(drops.size() == 1);
    CHECK(drops[0].key == key_of(1));
    CHECK(drops[0].allowed_ips == std::set<Cidr>{cidr("10.9.9.0/24")});
  }
  SUBCASE("moved") {
    scene.cluster["node2"].pod_cidrs.push_back(cidr("10.9.9.0/24"));
    const auto plan = scene.plan(before);
    CHECK(steps_of<DropAllowedIps>(plan).empty());
    const auto sets = steps_of<SetTunnelPeer>(plan);
    REQUIRE(sets.size() == 1);
    CHECK(sets[0].key == key_of(2));
    CHECK_FALSE(sets[0].endpoint.has_value());
  }
}

TEST_CASE("plan: a new uplink is closed first, with the tunnel that runs, and the old one is left last") {
  Scene scene;
  const auto actual = scene.applied();
  scene.facts.uplinks[0].name = "eth1";
  scene.facts.uplinks[0].ifindex = 3;
  const auto plan = scene.plan(actual);
  const auto& fence = std::get<Fence>(plan.front());
  REQUIRE(fence.programs.contains({SHEATH_DIRECTION_uplink_egress, "eth1"}));
  CHECK(fence.programs.at({SHEATH_DIRECTION_uplink_egress, "eth1"}).tunnel == TunnelReference::kTunnel);
  CHECK(fence.maps == Maps{});
  CHECK(std::get<SetBackstop>(plan[1]).backstop.watched.at(3) == "eth1");
  CHECK(texts({plan.begin() + 2, plan.end()}) ==
        std::vector<std::string>{"detach uplink_egress from eth0", "detach uplink_ingress from eth0"});
}

TEST_CASE(
    "plan: an overlay of others is covered once it is up, and stays so; the tunnel's MTU is the uplinks' affair") {
  Scene scene;
  scene.facts.overlays = {{"flannel.1", 5, 14, false}, {"tunl0", 6, 0, true}};
  const auto first = scene.applied();
  const Attachment flannel{SHEATH_DIRECTION_uplink_egress, "flannel.1"};
  CHECK_FALSE(first.programs.contains(flannel));
  CHECK(first.programs.at({SHEATH_DIRECTION_uplink_egress, "tunl0"}).l2_len == 0);
  CHECK(first.programs.contains({SHEATH_DIRECTION_uplink_ingress, "tunl0"}));
  CHECK(first.tunnel->mtu == 1420);

  scene.facts.overlays[0].up = true;
  const auto plan = scene.plan(first);
  REQUIRE(plan.size() == 2);
  CHECK(std::get<Fence>(plan[0]).programs.contains(flannel));
  CHECK(std::get<SetBackstop>(plan[1]).backstop.watched.at(5) == "flannel.1");
  const auto second = apply_all(first, plan);
  scene.facts.overlays[0].up = false;
  CHECK(scene.plan(second).empty());
  scene.facts.overlays.erase(scene.facts.overlays.begin());
  CHECK_FALSE(scene.applied(second).programs.contains(flannel));
}

TEST_CASE("plan: IPv6 has 1280 bytes in the tunnel whatever the underlay has, and IPv4 is held to what fits") {
  Scene scene;
  const Attachment egress{SHEATH_DIRECTION_uplink_egress, "eth0"};
  scene.facts.uplinks[0].mtu = 1360;
  CHECK(scene.desired({}).tunnel->mtu == 1280);
  CHECK(scene.desired({}).programs.at(egress).ipv4_mtu == 0);
  scene.facts.uplinks[0].mtu = 1359;
  CHECK(scene.desired({}).tunnel->mtu == 1280);
  CHECK(scene.desired({}).programs.at(egress).ipv4_mtu == 1279);
  CHECK(scene.desired({}).warnings.size() == 1);
  for (auto& [name, node] : scene.cluster) {
    std::erase_if(node.pod_cidrs, [](const Cidr& c) { return c.address.family == Family::kIpv6; });
  }
  CHECK(scene.desired({}).tunnel->mtu == 1279);
  CHECK(scene.desired({}).programs.at(egress).ipv4_mtu == 0);
}

TEST_CASE("plan: more than the maps hold is refused before anything is changed") {
  Scene scene;
  auto node = scene.cluster.at("node1");
  for (unsigned i = 0; i < SHEATH_MAX_CIDRS; ++i)
    node.pod_cidrs.push_back(cidr("10." + std::to_string(128 + i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
                                  std::to_string(i % 256) + "/32"));
  scene.put(node);
  const auto refused =
      build_desired({scene.config, scene.cluster, scene.facts, Actual{}, Publication{"/nodes/node0.json", "object"}});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().what() == "nodes: the cluster has 65541 IPv4 pod CIDRs, and the maps hold 65536");
}

TEST_CASE("plan: programs know a new length of prefixes before there is one, and nodes of a known one change none") {
  Scene scene;
  const auto actual = scene.applied();
  scene.put(make_node(9));
  CHECK(steps_of<Attach>(scene.plan(actual)).empty());
  auto node = make_node(10);
  node.pod_cidrs = {cidr("10.0.10.64/26")};
  scene.put(node);
  const auto plan = scene.plan(actual);
  CHECK(steps_of<Attach>(plan).size() == actual.programs.size());
  CHECK(first_of<Attach>(plan) < first_of<SetPodCidr>(plan));
  CHECK(apply_all(actual, plan).programs == scene.desired(actual).programs);
}

TEST_CASE("plan: pod CIDRs of more lengths than the programs know are refused before anything is changed") {
  Scene scene;
  auto node = scene.cluster.at("node1");
  for (int length = 10; length < 26; ++length) {
    node.pod_cidrs.push_back(cidr(std::to_string(100 + length) + ".0.0.0/" + std::to_string(length)));
  }
  scene.put(node);
  const auto refused =
      build_desired({scene.config, scene.cluster, scene.facts, Actual{}, Publication{"/nodes/node0.json", "object"}});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().what() == "nodes: the pod CIDRs of a family have more than 16 different lengths");
}

TEST_CASE("plan: past rp_filter, pods' packets arrive where most routes to the peers' pods lead, and so do nodes'") {
  Scene scene;
  scene.facts.all_rp_filter = 1;
  scene.facts.uplinks[0].ifindex = 2;
  scene.facts.overlays = {{"flannel.1", 5, 14, true}};
  const Attachment ingress{SHEATH_DIRECTION_tunnel_ingress, kWireguardDevice};
  const auto settings = [&] { return scene.desired({}).programs.at(ingress); };
  CHECK(settings().uplink == "eth0");
  CHECK(settings().pod_uplink == "eth0");
  scene.facts.routes = {{cidr("0.0.0.0/0"), 0, {2, {}, {}}}, {cidr("10.0.0.0/8"), 0, {5, {}, {}}}};
  CHECK(settings().uplink == "eth0");
  CHECK(settings().pod_uplink == "flannel.1");
  scene.facts.uplinks.push_back({"eth1", 1500, 14, {}, 3});
  const auto to_node = [&](const char* name, std::uint32_t ifindex) {
    scene.facts.routes.push_back({Cidr::host(scene.cluster.at(name).node_ips.front()), 0, {ifindex, {}, {}}});
  };
  to_node("node1", 3);
  CHECK(settings().uplink == "eth0");
  to_node("node2", 3);
  CHECK(settings().uplink == "eth1");
  scene.facts.all_rp_filter = 0;
  CHECK(settings().pod_uplink.empty());
}

TEST_CASE("plan: programs that send into a lost tunnel are fenced before it is made again") {
  const Scene scene;
  auto actual = scene.applied();
  Simulator::lose_tunnel(actual);
  const auto plan = scene.plan(actual);
  CHECK(std::holds_alternative<Fence>(plan.front()));
  CHECK(first_of<CreateTunnel>(plan) == 1);
  CHECK(texts(scene.plan(apply_all(actual, plan))).empty());
}

TEST_CASE("plan: maps of which one pin is lost are made again, and every program loaded on them") {
  const Scene scene;
  auto actual = scene.applied();
  actual.pins = Pins::kSome;
  actual.maps = {};
  const auto plan = scene.plan(actual);
  CHECK(std::get<Fence>(plan.front()).programs.size() == 2);
  CHECK(steps_of<Attach>(plan).size() == 1);  // tunnel_ingress; the fence has the others, with the tunnel there is
  CHECK(first_of<Attach>(plan) < first_of<SetPeer>(plan));
}

TEST_CASE("plan: maps that only count are made again, and every program loaded on them, but no key is given up") {
  const Scene scene;
  auto actual = scene.applied();
  actual.pins = Pins::kState;
  const auto plan = scene.plan(actual);
  CHECK(std::get<Fence>(plan.front()).programs.size() == 2);
  CHECK(std::get<Fence>(plan.front()).maps == Maps{});
  CHECK(steps_of<Attach>(plan).size() == 1);
  CHECK(plan.size() == 2);
}

TEST_CASE("plan: encryption none removes everything and publishes an object without key") {
  Scene scene;
  const auto actual = scene.applied();
  scene.config.encryption = state::Encryption::kNone;
  auto desired = scene.desired(actual);
  desired.publication->content = "without key";
  const auto plan = make_plan(desired, actual);
  CHECK(std::holds_alternative<Publish>(plan.front()));
  const auto end = apply_all(actual, plan);
  CHECK(end.programs.empty());
  CHECK_FALSE(end.tunnel.has_value());
  CHECK(end.pins == Pins::kNone);
  CHECK(make_plan(desired, end).empty());
}

TEST_CASE("plan: unload takes programs, tunnel and maps, in that order, and what is left of lost devices") {
  const Scene scene;
  auto actual = scene.applied();
  actual.orphans.insert({SHEATH_DIRECTION_pod_egress, "gone"});
  const auto plan = make_unload_plan(actual);
  CHECK(texts(plan) == std::vector<std::string>{"withdraw this node's object /nodes/node0.json",
                                                "detach pod_egress from gone", "detach uplink_egress from eth0",
                                                "detach uplink_ingress from eth0",
                                                "detach tunnel_ingress from cilium_wg0", "remove cilium_wg0",
                                                "remove nft table inet sheath", "unpin the maps"});
  CHECK(make_unload_plan(apply_all(actual, plan)).empty());
}

TEST_CASE("plan: a thousand nodes, one of them new, is a short plan") {
  Scene scene(1000);
  const auto actual = scene.applied();
  scene.put(make_node(1001));
  CHECK(scene.plan(actual).size() == 5);
}

}  // namespace sheath::plan
