// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loader/base/result.hpp"

// What the host's packet filter does to forwarded traffic: a pod's packets that skip the host stack (fast path) would
// be neither translated nor checked by it.
namespace sheath::netlink {

enum class FilterSystem : std::uint8_t { kNftables, kIptables, kIp6tables, kIpvs };

// A base chain through which forwarded packets go, and that does something: it has a rule, or drops by policy. Rules of
// chains that are jumped to are not counted: their way in is a rule of a base chain.
struct FilterFinding {
  FilterSystem system = FilterSystem::kNftables;
  // nftables: "ip", "ip6", "inet", "bridge", "netdev"; else empty.
  std::string family;
  // Empty for IPVS.
  std::string table;
  std::string chain;
  // IPVS: virtual services.
  std::uint32_t rules = 0;
  bool policy_drop = false;
  // Chains bound to devices (nftables family netdev, hook ingress of inet): theirs. It matters for a pod's traffic
  // only if a pod device is among them. Empty: all devices.
  std::vector<std::string> devices;

  // "nft table ip filter chain FORWARD: 2 rules, policy drop", "iptables table nat chain PREROUTING: 3 rules"
  std::string text() const;
  bool operator==(const FilterFinding&) const = default;
};

// All findings of this thread's network namespace, in a stable order. Reads only: loads no kernel module, makes no
// table. INPUT and OUTPUT do not count, since forwarded packets never see them (except for family bridge, where a
// routed packet leaves and enters a bridge through them). Needs CAP_NET_ADMIN.
Result<std::vector<FilterFinding>> list_forward_filters();

}  // namespace sheath::netlink
