// SPDX-License-Identifier: Apache-2.0
#include "loader/state/cluster.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "loader/state/merge.hpp"

namespace sheath::state {
namespace {

// A node IP (as /32 or /128) or a pod CIDR, and whose it is.
struct Claim {
  Cidr cidr;
  bool is_node_ip = false;
  const Node* node = nullptr;

  auto order() const { return std::tie(cidr, is_node_ip, node->name); }
};

// Sorted so that a prefix comes right before everything inside it.
std::vector<Claim> sorted_claims(const Cluster& cluster) {
  std::vector<Claim> out;
  for (const auto& [name, node] : cluster) {
    for (const auto& address : node.node_ips) out.push_back({Cidr::host(address), true, &node});
    for (const auto& cidr : node.pod_cidrs) out.push_back({cidr, false, &node});
  }
  std::ranges::sort(out, [](const Claim& a, const Claim& b) { return a.order() < b.order(); });
  return out;
}

std::string both(const Claim& a, const Claim& b) {
  return "nodes " + a.node->name + " and " + b.node->name;
}

std::unexpected<Error> conflict(const std::string& text) {
  return fail(Error::misuse(text).hint("remove the object of a node that is gone, or correct the one that is wrong"));
}

// `outer` contains `inner`. Nothing to say when both are pod CIDRs of one node.
Result<> check_pair(const Claim& outer, const Claim& inner) {
  const bool same_node = outer.node == inner.node;
  if (outer.is_node_ip && inner.is_node_ip) {
    if (same_node) return {};
    return conflict(both(outer, inner) + " have the same node IP " + inner.cidr.address.text());
  }
  if (!outer.is_node_ip && !inner.is_node_ip) {
    if (same_node) return {};
    return conflict(both(outer, inner) + " have overlapping pod CIDRs: " + outer.cidr.text() + " and " +
                    inner.cidr.text());
  }
  const Claim& pods = outer.is_node_ip ? inner : outer;
  const Claim& ip = outer.is_node_ip ? outer : inner;
  return conflict("pod CIDR " + pods.cidr.text() + " of node " + pods.node->name + " contains the node IP " +
                  ip.cidr.address.text() + " of node " + ip.node->name);
}

// One pass over the sorted claims with those that contain the current one on a stack. They belong to one node, or an
// earlier pair would have been refused, so comparing with the innermost is enough.
Result<> check_claims(const Cluster& cluster) {
  std::vector<Claim> enclosing;
  for (const auto& claim : sorted_claims(cluster)) {
    while (!enclosing.empty() && !enclosing.back().cidr.contains(claim.cidr)) enclosing.pop_back();
    if (!enclosing.empty()) {
      if (auto checked = check_pair(enclosing.back(), claim); !checked) return checked;
    }
    enclosing.push_back(claim);
  }
  return {};
}

Result<> check_keys(const Cluster& cluster) {
  std::map<keys::PublicKey, std::string> owners;
  for (const auto& [name, node] : cluster) {
    if (!node.wireguard_key) continue;
    const auto [other, is_new] = owners.emplace(*node.wireguard_key, name);
    if (!is_new) {
      return fail(Error::misuse("nodes " + other->second + " and " + name + " have the same WireGuard public key")
                      .hint("remove the private key file of the one that has the other's: it makes itself a new one"));
    }
  }
  return {};
}

// A router IP is one node's, and no other node's pods have it.
Result<> check_router_ips(const Cluster& cluster) {
  std::map<IpAddress, std::string> owners;
  for (const auto& [name, node] : cluster) {
    for (const auto& address : node.router_ips) {
      const auto [other, is_new] = owners.emplace(address, name);
      if (!is_new)
        return conflict("nodes " + other->second + " and " + name + " have the same router IP " + address.text());
    }
  }
  for (const auto& [name, node] : cluster) {
    for (const auto& cidr : node.pod_cidrs) {
      for (auto it = owners.lower_bound(cidr.address); it != owners.end() && cidr.contains(it->first); ++it) {
        if (it->second == name) continue;
        return conflict("pod CIDR " + cidr.text() + " of node " + name + " contains the router IP " + it->first.text() +
                        " of node " + it->second);
      }
    }
  }
  return {};
}

Result<> check_session_keys(const Cluster& cluster) {
  std::map<keys::PublicKey, std::string> owners;
  for (const auto& [name, node] : cluster) {
    for (const auto& session : node.ipsec_sessions) {
      const auto [other, is_new] = owners.emplace(session.public_key, name);
      if (!is_new) return conflict("nodes " + other->second + " and " + name + " have the same IPsec session key");
    }
  }
  return {};
}

// "a, b, c and 12 more".
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 5;
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) out += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kShown) out += " and " + std::to_string(names.size() - kShown) + " more";
  return out;
}

bool in_cluster_range(const Config& config, const Cidr& cidr) {
  return std::ranges::any_of(config.cluster_pod_cidrs, [&](const Cidr& range) { return range.contains(cidr); });
}

std::vector<std::string> find_incomplete(const Config& config, const Cluster& cluster) {
  std::vector<std::string> keyless, addressless, podless, outside, inside;
  for (const auto& [name, node] : cluster) {
    if (!node.wireguard_key && config.encryption == Encryption::kWireguard) keyless.push_back(name);
    if (node.node_ips.empty()) addressless.push_back(name);
    if (node.pod_cidrs.empty()) podless.push_back(name);
    for (const auto& cidr : node.pod_cidrs) {
      if (!in_cluster_range(config, cidr)) outside.push_back(cidr.text() + " (" + name + ")");
    }
    for (const auto& ip : node.node_ips) {
      if (in_cluster_range(config, Cidr::host(ip))) inside.push_back(ip.text() + " (" + name + ")");
    }
  }
  std::vector<std::string> out;
  const auto warn = [&](const std::vector<std::string>& names, const std::string& text) {
    if (!names.empty()) out.push_back(text + ": " + listed(names));
  };
  warn(keyless, "nodes without a WireGuard key");
  warn(addressless, "nodes without a node IP");
  warn(podless, "nodes without a pod CIDR");
  if (!config.cluster_pod_cidrs.empty()) warn(outside, "pod CIDRs outside clusterPodCIDRs");
  warn(inside, "node IPs inside clusterPodCIDRs");
  return out;
}

}  // namespace

Result<ClusterState> make_cluster(const Config& config, std::span<const NodeObject> objects, const Node& own) {
  auto merged = merge_objects(objects);
  if (!merged) return fail(std::move(merged.error()));
  merged->insert_or_assign(own.name, own);
  if (auto checked = check_claims(*merged); !checked) return fail(std::move(checked.error()));
  for (const auto check : {check_keys, check_router_ips, check_session_keys}) {
    if (auto checked = check(*merged); !checked) return fail(std::move(checked.error()));
  }
  auto warnings = find_incomplete(config, *merged);
  return ClusterState{*std::move(merged), std::move(warnings)};
}

}  // namespace sheath::state
