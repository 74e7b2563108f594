// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/state/config.hpp"
#include "loader/state/node.hpp"
#include "loader/state/node_object.hpp"

namespace sheath::state {

// This node: its objects merged (without what it published itself, so that stale publications do not live forever),
// then nodeIPs and podCIDRs of the configuration in their place; with neither, the uplink's global addresses are its
// node IPs. No key yet. An error, with what to do, when no pod CIDR or no address is known.
Result<Node> own_node(const Config& config, std::span<const NodeObject> objects,
                      std::span<const IpAddress> uplink_addresses);

struct ClusterState {
  Cluster nodes;
  std::vector<std::string> warnings;  // what is incomplete, a line each; not an error
};

// All nodes, with `own` in place of what the objects say about it. Refuses a cluster that contradicts itself: two
// objects of one kind and name, pod CIDRs that overlap, a node IP or a key that two nodes have, a node IP inside a pod
// CIDR. O(n log n).
Result<ClusterState> make_cluster(const Config& config, std::span<const NodeObject> objects, const Node& own);

}  // namespace sheath::state
