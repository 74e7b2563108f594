// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <random>
#include <string>

#include "loader/state/cluster.hpp"
#include "loader/state/cluster_index.hpp"

using namespace sheath;
using namespace sheath::state;

namespace {

// Few addresses, prefixes and keys, so that nodes often want the same.
Node random_member(std::mt19937& random, int number) {
  const auto below = [&](int limit) {
    return std::to_string(std::uniform_int_distribution<int>(0, limit - 1)(random));
  };
  Node node;
  node.name = "n" + std::to_string(number);
  node.node_ips = {*IpAddress::parse("172.18.0." + below(12))};
  if (below(2) == "0") node.node_ips.push_back(*IpAddress::parse("fd00:172::" + below(12)));
  node.pod_cidrs = {*Cidr::parse("10.0." + below(12) + ".0/24")};
  if (below(4) == "0") node.pod_cidrs.push_back(*Cidr::parse("10." + below(3) + ".0.0/16"));
  if (below(4) == "0") node.pod_cidrs.push_back(*Cidr::parse("172.18.0." + below(12) + "/32"));
  if (below(3) == "0") node.pod_cidrs.push_back(*Cidr::parse("fd00:10:" + below(12) + "::/64"));
  if (below(3) == "0") node.router_ips = {*IpAddress::parse("10.0." + below(12) + ".1")};
  node.wireguard_key.emplace();
  node.wireguard_key->bytes[0] = static_cast<std::uint8_t>(std::stoi(below(12)));
  return node;
}

bool make_one(const Cluster& cluster, const Node& own) {
  std::vector<NodeObject> objects;
  for (const auto& [name, node] : cluster) objects.push_back({ObjectKind::kNode, node, name});
  return make_cluster(Config{}, objects, own).has_value();
}

}  // namespace

TEST_CASE("cluster index: whom it admits makes a cluster with the others, whatever came and went before") {
  std::mt19937 random(1);
  Node own;
  own.name = "own";
  int admitted = 0, refused = 0;
  for (int run = 0; run < 200; ++run) {
    Cluster cluster;
    ClusterIndex index;
    for (int step = 0; step < 20; ++step) {
      const auto node = random_member(random, std::uniform_int_distribution<int>(0, 5)(random));
      const auto old = cluster.find(node.name);
      if (random() % 5 == 0) {
        if (old == cluster.end()) continue;
        index.remove(old->second);
        cluster.erase(old);
        continue;
      }
      auto candidate = cluster;
      candidate[node.name] = node;
      if (!index.admits(node, {node.name})) {
        // A node may also contradict itself, which is not the index's affair.
        ++refused;
        continue;
      }
      const bool alone = make_one({{node.name, node}}, own);
      CHECK(make_one(candidate, own) == alone);
      if (!alone) continue;
      ++admitted;
      if (old != cluster.end()) index.remove(old->second);
      cluster = candidate;
      index.add(node);
    }
  }
  CHECK(admitted > 300);
  CHECK(refused > 300);
}

TEST_CASE("cluster index: those that change together do not stand in each other's way") {
  const auto node = [](const std::string& name, const std::string& cidr) {
    Node out;
    out.name = name;
    out.pod_cidrs = {*Cidr::parse(cidr)};
    return out;
  };
  const ClusterIndex index(Cluster{{"a", node("a", "10.0.1.0/24")}, {"b", node("b", "10.0.2.0/24")}});
  CHECK_FALSE(index.admits(node("a", "10.0.2.0/24"), {"a"}));
  CHECK(index.admits(node("a", "10.0.2.0/24"), {"a", "b"}));
  CHECK_FALSE(index.admits(node("c", "10.0.0.0/16"), {"c"}));
  CHECK_FALSE(index.admits(node("c", "10.0.2.128/25"), {"c"}));
  CHECK(index.admits(node("c", "10.0.3.0/24"), {"c"}));
}
