// SPDX-License-Identifier: Apache-2.0
#include <linux/netfilter.h>

#include <string_view>

#include "loader/netlink/netfilter.hpp"
#include "loader/netlink/nftables.hpp"

namespace sheath::netlink {
namespace {

// Forwarded packets pass these, in families ip, ip6 and inet.
bool is_forward_hook(std::uint32_t hook) {
  return hook == NF_INET_PRE_ROUTING || hook == NF_INET_FORWARD || hook == NF_INET_POST_ROUTING;
}

bool sees_forwarded(const NftBaseChain& chain) {
  switch (chain.family) {
    case NFPROTO_IPV4:
    case NFPROTO_IPV6:
      return is_forward_hook(chain.hook);
    case NFPROTO_INET:
      return is_forward_hook(chain.hook) || chain.hook == NF_INET_INGRESS;
    case NFPROTO_BRIDGE:
    case NFPROTO_NETDEV:
      return true;
    default:
      return false;
  }
}

std::string family_name(std::uint8_t family) {
  switch (family) {
    case NFPROTO_IPV4:
      return "ip";
    case NFPROTO_IPV6:
      return "ip6";
    case NFPROTO_INET:
      return "inet";
    case NFPROTO_BRIDGE:
      return "bridge";
    case NFPROTO_NETDEV:
      return "netdev";
    default:
      return std::to_string(family);
  }
}

std::string place(const FilterFinding& finding) {
  switch (finding.system) {
    case FilterSystem::kNftables:
      return "nft table " + finding.family + " " + finding.table + " chain " + finding.chain;
    case FilterSystem::kIptables:
      return "iptables table " + finding.table + " chain " + finding.chain;
    case FilterSystem::kIp6tables:
      return "ip6tables table " + finding.table + " chain " + finding.chain;
    case FilterSystem::kIpvs:
      return "IPVS";
  }
  return {};
}

std::string counted(std::uint32_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace

std::string FilterFinding::text() const {
  std::string out = place(*this);
  for (std::size_t i = 0; i < devices.size(); ++i) out += (i == 0 ? " on " : ", ") + devices[i];
  out += ":";
  if (rules > 0) out += " " + counted(rules, system == FilterSystem::kIpvs ? "service" : "rule");
  if (policy_drop) out += rules > 0 ? ", policy drop" : " policy drop";
  return out;
}

std::optional<FilterFinding> judge_nft_chain(const NftBaseChain& chain) {
  if (chain.dormant || !sees_forwarded(chain)) return std::nullopt;
  if (chain.rules == 0 && !chain.policy_drop) return std::nullopt;
  FilterFinding finding;
  finding.system = FilterSystem::kNftables;
  finding.family = family_name(chain.family);
  finding.table = chain.table;
  finding.chain = chain.name;
  finding.rules = chain.rules;
  finding.policy_drop = chain.policy_drop;
  finding.devices = chain.devices;
  return finding;
}

}  // namespace sheath::netlink
