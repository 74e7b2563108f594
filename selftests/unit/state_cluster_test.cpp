// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include "loader/state/cluster.hpp"

using namespace sheath::state;
using sheath::Cidr;
using sheath::IpAddress;
using sheath::keys::PublicKey;

namespace {

PublicKey wireguard_key_of(std::uint8_t number) {
  PublicKey out;
  out.bytes[0] = number;
  return out;
}

struct Make {
  std::string name;
  std::vector<std::string> ips;
  std::vector<std::string> cidrs;
  std::uint8_t key_number = 0;  // 0: none
  ObjectKind kind = ObjectKind::kNode;
};

NodeObject object(const Make& make) {
  NodeObject out;
  out.kind = make.kind;
  out.where = "f.json: Node/" + make.name;
  out.node.name = make.name;
  for (const auto& ip : make.ips) out.node.node_ips.push_back(*IpAddress::parse(ip));
  for (const auto& cidr : make.cidrs) out.node.pod_cidrs.push_back(*Cidr::parse(cidr));
  if (make.key_number != 0) out.node.wireguard_key = wireguard_key_of(make.key_number);
  return out;
}

std::vector<NodeObject> objects(const std::vector<Make>& makes) {
  std::vector<NodeObject> out;
  for (const auto& make : makes) out.push_back(object(make));
  return out;
}

Config config_of(const std::string& name) {
  Config config;
  config.node_name = name;
  return config;
}

const Node kOwn = object({"own", {"172.18.0.2"}, {"10.244.0.0/24"}, 1}).node;

std::string refusal(const std::vector<Make>& makes) {
  const auto cluster = make_cluster(config_of("own"), objects(makes), kOwn);
  if (cluster) return "";
  CHECK(cluster.error().kind() == sheath::ErrorKind::kMisuse);
  return cluster.error().what();
}

}  // namespace

TEST_CASE("own node: its objects merged, without what it published, and the configuration on top") {
  auto all = objects({{"own", {"172.18.0.2"}, {"10.244.0.0/24"}},
                      {"own", {"172.18.0.3"}, {}, 5, ObjectKind::kCiliumNode},
                      {"own", {"172.18.0.4"}, {"10.9.0.0/24"}, 6, ObjectKind::kPublished},
                      {"other", {"172.18.0.9"}, {"10.244.9.0/24"}}});
  all[0].node.labels["a"] = "b";
  auto config = config_of("own");
  const auto own = own_node(config, all, {});
  REQUIRE(own);
  CHECK(own->node_ips == std::vector{*IpAddress::parse("172.18.0.3")});
  CHECK(own->pod_cidrs == std::vector{*Cidr::parse("10.244.0.0/24")});
  CHECK(own->labels.at("a") == "b");
  CHECK(!own->wireguard_key);

  config.node_ips = {*IpAddress::parse("172.18.0.7")};
  config.pod_cidrs = {*Cidr::parse("10.244.7.0/24")};
  const auto configured = own_node(config, all, {});
  REQUIRE(configured);
  CHECK(configured->node_ips == config.node_ips);
  CHECK(configured->pod_cidrs == config.pod_cidrs);
}

TEST_CASE("own node: without an address of its own it has the uplink's global ones") {
  const std::vector<IpAddress> uplink{*IpAddress::parse("fe80::1"), *IpAddress::parse("172.18.0.2")};
  const auto own = own_node(config_of("own"), objects({{"own", {}, {"10.244.0.0/24"}}}), uplink);
  REQUIRE(own);
  CHECK(own->node_ips == std::vector{*IpAddress::parse("172.18.0.2")});
}

TEST_CASE("own node: what is missing is named, with what to do") {
  const auto absent = own_node(config_of("own"), {}, {});
  REQUIRE(!absent);
  CHECK(absent.error().what() == "this node (own): it has no object in /etc/sheath/nodes, and podCIDRs is not set");
  CHECK(absent.error().hint() ==
        "put its Node object there, set podCIDRs (--pod-cidrs), or correct nodeName (--node-name)");
  const auto podless = own_node(config_of("own"), objects({{"own", {"172.18.0.2"}, {}}}), {});
  REQUIRE(!podless);
  CHECK(podless.error().what() == "this node (own): its object has no pod CIDR, and podCIDRs is not set");
  const auto addressless = own_node(config_of("own"), objects({{"own", {}, {"10.244.0.0/24"}}}), {});
  REQUIRE(!addressless);
  CHECK(addressless.error().what() == "this node (own): no node IP is known");
}

TEST_CASE("cluster: objects of one node merge field by field, the published one first") {
  const auto cluster = make_cluster(config_of("own"),
                                    objects({{"peer", {}, {}, 7, ObjectKind::kPublished},
                                             {"peer", {"172.18.0.3"}, {"10.244.1.0/24"}, 6},
                                             {"peer", {"172.18.0.4"}, {}, 0, ObjectKind::kCiliumNode},
                                             {"own", {"172.18.0.99"}, {"10.99.0.0/24"}, 9, ObjectKind::kPublished}}),
                                    kOwn);
  REQUIRE_MESSAGE(cluster, cluster.error().what());
  REQUIRE(cluster->nodes.size() == 2);
  const auto& peer = cluster->nodes.at("peer");
  CHECK(peer.node_ips == std::vector{*IpAddress::parse("172.18.0.4")});
  CHECK(peer.pod_cidrs == std::vector{*Cidr::parse("10.244.1.0/24")});
  CHECK(peer.wireguard_key == wireguard_key_of(7));
  CHECK(cluster->nodes.at("own") == kOwn);
  CHECK(cluster->warnings.empty());
}

TEST_CASE("cluster: each contradiction is refused, naming both") {
  const Make a{"a", {"172.18.0.3", "fd00::3"}, {"10.244.1.0/24", "fd01:1::/64"}, 2};
  CHECK(refusal({a, a}) == "f.json: Node/a: is a duplicate of f.json: Node/a");
  CHECK(refusal({a, {"b", {}, {"10.244.1.0/24"}}}) ==
        "nodes a and b have overlapping pod CIDRs: 10.244.1.0/24 and 10.244.1.0/24");
  CHECK(refusal({a, {"b", {}, {"10.244.0.0/16"}}}).starts_with("nodes b and own have overlapping pod CIDRs: "));
  CHECK(refusal({a, {"b", {}, {"fd01:1::/80"}}}) ==
        "nodes a and b have overlapping pod CIDRs: fd01:1::/64 and fd01:1::/80");
  CHECK(refusal({a, {"b", {}, {"10.244.0.128/25"}}}) ==
        "nodes own and b have overlapping pod CIDRs: 10.244.0.0/24 and 10.244.0.128/25");
  CHECK(refusal({a, {"b", {"172.18.0.3"}, {}}}) == "nodes a and b have the same node IP 172.18.0.3");
  CHECK(refusal({a, {"b", {"fd00::3"}, {}}}) == "nodes a and b have the same node IP fd00::3");
  CHECK(refusal({a, {"b", {}, {"172.18.0.0/24"}}}) ==
        "pod CIDR 172.18.0.0/24 of node b contains the node IP 172.18.0.2 of node own");
  CHECK(refusal({a, {"b", {}, {"172.18.0.3/32"}}}) ==
        "pod CIDR 172.18.0.3/32 of node b contains the node IP 172.18.0.3 of node a");
  CHECK(refusal({{"b", {"10.9.0.1"}, {"10.9.0.0/24"}}}) ==
        "pod CIDR 10.9.0.0/24 of node b contains the node IP 10.9.0.1 of node b");
  CHECK(refusal({a, {"b", {}, {}, 2}}) == "nodes a and b have the same WireGuard public key");
  CHECK(refusal({{"b", {}, {}, 1}}) == "nodes b and own have the same WireGuard public key");
  CHECK(refusal({a, {"b", {"172.18.0.4"}, {"10.244.2.0/24"}, 3}}) == "");
}

TEST_CASE("cluster: an overlap is found however many prefixes lie between its two ends") {
  std::vector<Make> makes{{"outer", {}, {"10.8.0.0/16"}}};
  for (int i = 0; i < 100; ++i) makes.push_back({"n" + std::to_string(i), {}, {"10.9." + std::to_string(i) + ".0/24"}});
  CHECK(refusal(makes) == "");
  makes.push_back({"inner", {}, {"10.8.255.0/24"}});
  CHECK(refusal(makes) == "nodes outer and inner have overlapping pod CIDRs: 10.8.0.0/16 and 10.8.255.0/24");
}

TEST_CASE("cluster: what is incomplete is a warning") {
  auto config = config_of("own");
  config.cluster_pod_cidrs = {*Cidr::parse("10.244.0.0/16"), *Cidr::parse("172.18.0.9/32")};
  const auto all = objects({{"a", {}, {"10.9.0.0/24"}, 0}, {"b", {"172.18.0.9"}, {}, 3}});
  const auto cluster = make_cluster(config, all, kOwn);
  REQUIRE(cluster);
  CHECK(cluster->warnings == std::vector<std::string>{"nodes without a WireGuard key: a", "nodes without a node IP: a",
                                                      "nodes without a pod CIDR: b",
                                                      "pod CIDRs outside clusterPodCIDRs: 10.9.0.0/24 (a)",
                                                      "node IPs inside clusterPodCIDRs: 172.18.0.9 (b)"});
}

TEST_CASE("cluster: a warning about many nodes stays one line") {
  std::vector<Make> makes;
  for (int i = 0; i < 8; ++i)
    makes.push_back(
        {"n" + std::to_string(i), {"172.18.1." + std::to_string(i)}, {"10.1." + std::to_string(i) + ".0/24"}});
  const auto cluster = make_cluster(config_of("own"), objects(makes), kOwn);
  REQUIRE(cluster);
  CHECK(cluster->warnings == std::vector<std::string>{"nodes without a WireGuard key: n0, n1, n2, n3, n4 and 3 more"});
}

TEST_CASE("cluster: 5,000 nodes of two families are checked") {
  std::vector<Make> makes;
  for (int i = 0; i < 5000; ++i) {
    const auto high = std::to_string(i / 250);
    const auto low = std::to_string(i % 250 + 1);
    makes.push_back({"n" + std::to_string(i),
                     {"172.20." + high + "." + low},
                     {"10." + high + "." + low + ".0/24", "fd01:" + high + ":" + low + "::/64"}});
  }
  const auto cluster = make_cluster(config_of("own"), objects(makes), kOwn);
  REQUIRE_MESSAGE(cluster, cluster.error().what());
  CHECK(cluster->nodes.size() == 5001);
}
