// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>

#include "loader/state/cluster.hpp"
#include "loader/state/merge.hpp"
#include "loader/state/value_parsers.hpp"

namespace sheath::state {
namespace {

std::unexpected<Error> no_pod_cidrs(const Config& config, bool has_object) {
  const auto reason = has_object ? "its object has no pod CIDR, and podCIDRs is not set"
                                 : "it has no object in " + config.nodes.path.string() + ", and podCIDRs is not set";
  return fail(Error::misuse("this node (" + config.node_name + "): " + reason)
                  .hint("put its Node object there, set podCIDRs (--pod-cidrs), or correct nodeName (--node-name)"));
}

}  // namespace

Result<Node> own_node(const Config& config, std::span<const NodeObject> objects,
                      std::span<const IpAddress> uplink_addresses) {
  std::vector<NodeObject> own;
  std::ranges::copy_if(objects, std::back_inserter(own), [&](const NodeObject& object) {
    return object.node.name == config.node_name && object.kind != ObjectKind::kPublished;
  });
  auto merged = merge_objects(own);
  if (!merged) return fail(std::move(merged.error()));

  Node node = std::move((*merged)[config.node_name]);
  node.name = config.node_name;
  node.wireguard_key.reset();
  node.ipsec_key_id.reset();
  node.ipsec_sessions.clear();
  node.node_encryption.reset();
  if (!config.pod_cidrs.empty()) node.pod_cidrs = config.pod_cidrs;
  if (!config.node_ips.empty()) node.node_ips = config.node_ips;
  if (!config.router_ips.empty()) node.router_ips = config.router_ips;
  if (node.node_ips.empty()) std::ranges::copy_if(uplink_addresses, std::back_inserter(node.node_ips), is_node_ip);

  if (node.pod_cidrs.empty()) return no_pod_cidrs(config, !own.empty());
  if (node.node_ips.empty()) {
    return fail(
        Error::misuse("this node (" + config.node_name + "): no node IP is known").hint("set nodeIPs (--node-ips)"));
  }
  return node;
}

}  // namespace sheath::state
