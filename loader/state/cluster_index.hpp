// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "loader/state/node.hpp"

namespace sheath::state {

// Whose what is in a cluster, so that one node is checked against all others without a look at each. What a change
// costs grows with the logarithm of the cluster's size.
class ClusterIndex {
 public:
  ClusterIndex() = default;
  explicit ClusterIndex(const Cluster& cluster);

  // Whether `node` contradicts none of the nodes but those of these names. Refuses all that make_cluster would refuse
  // between nodes, and more: a router IP that is another's node IP, say. What it refuses make_cluster has to judge.
  bool admits(const Node& node, const std::set<std::string>& apart_from) const;
  // Null: there is none.
  const Node* find(const std::string& name) const;
  // In place of the node of that name.
  void put(const Node& node);
  void remove(const std::string& name);

 private:
  bool is_free(const Cidr& cidr, const std::set<std::string>& apart_from) const;

  std::map<std::string, Node> nodes_;
  std::map<Cidr, std::string> claims_;                              // addresses and prefixes: their node
  std::map<std::pair<Family, std::uint8_t>, std::size_t> lengths_;  // how many claims have them
  std::map<keys::PublicKey, std::string> keys_;
};

}  // namespace sheath::state
