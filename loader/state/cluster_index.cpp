// SPDX-License-Identifier: Apache-2.0
#include "loader/state/cluster_index.hpp"

#include <algorithm>
#include <set>

namespace sheath::state {
namespace {

std::set<Cidr> claims_of(const Node& node) {
  std::set<Cidr> out(node.pod_cidrs.begin(), node.pod_cidrs.end());
  for (const auto& address : node.node_ips) out.insert(Cidr::host(address));
  for (const auto& address : node.router_ips) out.insert(Cidr::host(address));
  return out;
}

}  // namespace

ClusterIndex::ClusterIndex(const Cluster& cluster) {
  for (const auto& [name, node] : cluster) add(node);
}

bool ClusterIndex::is_free(const Cidr& cidr, const std::set<std::string>& apart_from) const {
  for (auto inside = claims_.lower_bound({cidr.address, 0});
       inside != claims_.end() && cidr.contains(inside->first.address); ++inside) {
    if (!apart_from.contains(*inside->second)) return false;
  }
  return std::ranges::none_of(lengths_, [&](const auto& entry) {
    const auto& [family, length] = entry.first;
    if (family != cidr.address.family || length >= cidr.length) return false;
    const auto around = claims_.find(Cidr::around(cidr.address, length));
    return around != claims_.end() && !apart_from.contains(*around->second);
  });
}

bool ClusterIndex::admits(const Node& node, const std::set<std::string>& apart_from) const {
  if (node.wireguard_key) {
    const auto owner = keys_.find(*node.wireguard_key);
    if (owner != keys_.end() && !apart_from.contains(*owner->second)) return false;
  }
  return std::ranges::all_of(claims_of(node), [&](const Cidr& cidr) { return is_free(cidr, apart_from); });
}

void ClusterIndex::add(const Node& node) {
  const auto* name = &*names_.insert(node.name).first;
  for (const auto& cidr : claims_of(node)) {
    if (claims_.emplace(cidr, name).second) ++lengths_[{cidr.address.family, cidr.length}];
  }
  if (node.wireguard_key) keys_.emplace(*node.wireguard_key, name);
}

void ClusterIndex::remove(const Node& node) {
  const auto name = names_.find(node.name);
  if (name == names_.end()) return;
  for (const auto& cidr : claims_of(node)) {
    const auto claim = claims_.find(cidr);
    if (claim == claims_.end() || claim->second != &*name) continue;
    claims_.erase(claim);
    const auto length = lengths_.find({cidr.address.family, cidr.length});
    if (--length->second == 0) lengths_.erase(length);
  }
  if (node.wireguard_key) {
    const auto owner = keys_.find(*node.wireguard_key);
    if (owner != keys_.end() && owner->second == &*name) keys_.erase(owner);
  }
  names_.erase(name);
}

}  // namespace sheath::state
