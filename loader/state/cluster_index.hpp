// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "loader/state/node.hpp"

namespace sheath::state {

// Whose what is in a cluster, and no more of its nodes, so that one node is checked against all others without a look
// at each. What a change costs grows with the logarithm of the cluster's size.
class ClusterIndex {
 public:
  ClusterIndex() = default;
  ClusterIndex(const ClusterIndex&) = delete;
  ClusterIndex& operator=(const ClusterIndex&) = delete;
  ClusterIndex(ClusterIndex&&) = default;
  ClusterIndex& operator=(ClusterIndex&&) = default;
  explicit ClusterIndex(const Cluster& cluster);

  // Whether `node` contradicts none of the nodes but those of these names. Refuses all that make_cluster would refuse
  // between nodes, and more: a router IP that is another's node IP, say. What it refuses make_cluster has to judge.
  bool admits(const Node& node, const std::set<std::string>& apart_from) const;
  // One of that name is not there.
  void add(const Node& node);
  // As it was added.
  void remove(const Node& node);

 private:
  bool is_free(const Cidr& cidr, const std::set<std::string>& apart_from) const;

  std::set<std::string> names_;                                     // of the nodes; the next two point into it
  std::map<Cidr, const std::string*> claims_;                       // addresses and prefixes: their node
  std::map<keys::PublicKey, const std::string*> keys_;              // the same for WireGuard's
  std::map<std::pair<Family, std::uint8_t>, std::size_t> lengths_;  // how many claims have them
};

}  // namespace sheath::state
