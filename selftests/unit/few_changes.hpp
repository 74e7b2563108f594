// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "loader/state/cluster.hpp"
#include "loader/state/node_object.hpp"

// For the tests of rounds about a few nodes.
namespace sheath::engine {

// One of the things that happen to nodes: these become what is said here.
using Changes = std::map<std::string, std::optional<state::Node>>;

// Lets it happen to the keeper's cluster, if that bears it.
template <typename Keeper>
void let_happen(Keeper& keeper, const Changes& changes) {
  auto candidate = keeper.cluster();
  for (const auto& [name, node] : changes) {
    candidate.erase(name);
    if (node) candidate.emplace(name, *node);
  }
  std::vector<state::NodeObject> objects;
  for (const auto& [name, node] : candidate) objects.push_back({state::ObjectKind::kNode, node, name});
  if (!state::make_cluster(keeper.config(), objects, candidate.at("node0"))) return;
  for (const auto& [name, node] : changes) node ? keeper.put(*node) : keeper.remove(name);
}

// Two nodes swap their pod CIDRs; nothing where the other is not there.
inline Changes swap_pods(const state::Cluster& cluster, state::Node node, const std::string& with) {
  const auto other = cluster.find(with);
  if (other == cluster.end()) return {};
  auto swapped = other->second;
  std::swap(swapped.pod_cidrs[0], node.pod_cidrs[0]);
  return {{node.name, node}, {swapped.name, swapped}};
}

}  // namespace sheath::engine
