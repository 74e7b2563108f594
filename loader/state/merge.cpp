// SPDX-License-Identifier: Apache-2.0
#include "loader/state/merge.hpp"

#include <algorithm>
#include <vector>

namespace sheath::state {
namespace {

// Puts what `object` has over what `node` had.
void overlay(Node& node, const Node& object) {
  if (!object.node_ips.empty()) node.node_ips = object.node_ips;
  if (!object.pod_cidrs.empty()) node.pod_cidrs = object.pod_cidrs;
  if (!object.router_ips.empty()) node.router_ips = object.router_ips;
  if (object.wireguard_key) node.wireguard_key = object.wireguard_key;
  if (object.ipsec_key_id) node.ipsec_key_id = object.ipsec_key_id;
  if (object.node_encryption) node.node_encryption = object.node_encryption;
  if (!object.ipsec_sessions.empty()) node.ipsec_sessions = object.ipsec_sessions;
  for (const auto& [key, value] : object.labels) node.labels.insert_or_assign(key, value);
}

}  // namespace

Result<Cluster> merge_objects(std::span<const NodeObject> objects) {
  std::vector<const NodeObject*> sorted;
  for (const auto& object : objects) sorted.push_back(&object);
  std::ranges::stable_sort(sorted, {},
                           [](const NodeObject* object) { return std::tie(object->node.name, object->kind); });

  Cluster out;
  const NodeObject* last = nullptr;
  for (const auto* object : sorted) {
    if (last != nullptr && last->kind == object->kind && last->node.name == object->node.name) {
      return fail(Error::misuse(object->where + ": is a duplicate of " + last->where));
    }
    auto& node = out[object->node.name];
    node.name = object->node.name;
    overlay(node, object->node);
    last = object;
  }
  return out;
}

}  // namespace sheath::state
