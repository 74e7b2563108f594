// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "loader/plan/describe.hpp"
#include "loader/plan/desired.hpp"
#include "loader/plan/planner.hpp"
#include "selftests/unit/plan_simulator.hpp"

// A small cluster of node0 and its peers, for tests of the planner.
namespace sheath::plan {

inline keys::PublicKey key_of(int number) {
  keys::PublicKey key;
  key.bytes[0] = static_cast<std::uint8_t>(number);
  key.bytes[1] = static_cast<std::uint8_t>(number >> 8);
  key.bytes[31] = 1;
  return key;
}

inline IpAddress address(const std::string& text) {
  return IpAddress::parse(text).value();
}
inline Cidr cidr(const std::string& text) {
  return Cidr::parse(text).value();
}

inline std::string two(int number) {
  return std::to_string(number / 250) + "." + std::to_string(number % 250);
}

inline state::Node make_node(int number) {
  state::Node node;
  node.name = "node" + std::to_string(number);
  node.node_ips = {address("172." + two(number) + ".1")};
  node.pod_cidrs = {cidr("10." + two(number) + ".0/24"), cidr("fd00:10:" + std::to_string(number) + "::/64")};
  node.wireguard_key = key_of(number);
  return node;
}

// A node with configuration, cluster and uplinks: what build_desired works on.
struct Scene {
  state::Config config;
  state::Cluster cluster;
  Facts facts;

  explicit Scene(int peers = 3) {
    config.node_name = "node0";
    config.cluster_pod_cidrs = {cidr("10.0.0.0/8"), cidr("fd00:10::/32")};
    for (int i = 0; i <= peers; ++i) put(make_node(i));
    facts.uplinks = {{"eth0", 1500, 14, {}, 2}};
  }

  void put(const state::Node& node) { cluster[node.name] = node; }

  Desired desired(const Actual& actual) const {
    auto out = build_desired({config, cluster, facts, actual, Publication{"/nodes/node0.json", "object"}});
    REQUIRE(out.has_value());
    return std::move(*out);
  }
  Plan plan(const Actual& actual) const { return make_plan(desired(actual), actual); }
  Actual applied(const Actual& actual = {}) const { return apply_all(actual, plan(actual)); }
};

inline std::vector<std::string> texts(const Plan& plan, const Names& names = {}) {
  std::vector<std::string> out;
  for (const auto& step : plan) out.push_back(describe(step, names).text);
  return out;
}

inline std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  return out;
}

template <typename Wanted>
std::vector<Wanted> steps_of(const Plan& plan) {
  std::vector<Wanted> out;
  for (const auto& step : plan) {
    if (const auto* found = std::get_if<Wanted>(&step)) out.push_back(*found);
  }
  return out;
}

template <typename Wanted>
std::size_t first_of(const Plan& plan) {
  const auto found = std::ranges::find_if(plan, [](const Step& step) { return std::holds_alternative<Wanted>(step); });
  return static_cast<std::size_t>(found - plan.begin());
}

}  // namespace sheath::plan
