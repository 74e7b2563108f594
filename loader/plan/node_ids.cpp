// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/node_ids.hpp"

#include <algorithm>

namespace sheath::plan {
namespace {

struct Claim {
  int votes = 0;
  std::string name;
  std::uint16_t id = 0;
};

template <typename Key>
void vote(const std::map<Key, Owner>& owners, const std::vector<Key>& keys, std::map<std::uint16_t, int>& votes) {
  for (const auto& key : keys) {
    const auto found = owners.find(key);
    if (found != owners.end() && found->second.node_id != 0) ++votes[found->second.node_id];
  }
}

std::vector<Claim> claims_by_strength(const std::vector<const state::Node*>& peers, const Maps& maps) {
  std::vector<Claim> claims;
  for (const auto* peer : peers) {
    std::map<std::uint16_t, int> votes;
    vote(maps.node_ips, peer->node_ips, votes);
    vote(maps.pod_cidrs, peer->pod_cidrs, votes);
    for (const auto& [id, count] : votes) claims.push_back({count, peer->name, id});
  }
  std::ranges::stable_sort(claims, [](const Claim& left, const Claim& right) {
    return left.votes != right.votes ? left.votes > right.votes : left.name < right.name;
  });
  return claims;
}

std::vector<bool> used_ids(const Maps& maps, const std::vector<bool>* in_use) {
  std::vector<bool> used = in_use == nullptr ? std::vector<bool>(SHEATH_NODE_ID_MAX + 1) : *in_use;
  used[0] = true;
  for (const auto& [address, owner] : maps.node_ips) used[owner.node_id] = true;
  for (const auto& [cidr, owner] : maps.pod_cidrs) used[owner.node_id] = true;
  for (const auto& [id, entry] : maps.peers) used[id] = true;
  return used;
}

}  // namespace

Result<NodeIds> assign_node_ids(const std::vector<const state::Node*>& peers, const Maps& maps,
                                const std::vector<bool>* in_use) {
  NodeIds ids;
  std::vector<bool> taken(SHEATH_NODE_ID_MAX + 1);
  for (const auto& claim : claims_by_strength(peers, maps)) {
    if (taken[claim.id] || ids.contains(claim.name)) continue;
    ids.emplace(claim.name, claim.id);
    taken[claim.id] = true;
  }

  const auto used = used_ids(maps, in_use);
  std::size_t next = 1;
  for (const auto* peer : peers) {
    if (ids.contains(peer->name)) continue;
    while (next < used.size() && used[next]) ++next;
    if (next == used.size()) return fail("no node ID is free for " + peer->name + ": all 65535 are in use");
    ids.emplace(peer->name, static_cast<std::uint16_t>(next++));
  }
  return ids;
}

}  // namespace sheath::plan
