// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/xtables.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <cstddef>
#include <cstring>
#include <optional>
#include <string>

namespace sheath::netlink {
namespace {

struct Chain {
  std::size_t hook;
  const char* name;
};
// The ones that forwarded packets pass.
constexpr Chain kForwardChains[] = {
    {NF_INET_PRE_ROUTING, "PREROUTING"}, {NF_INET_FORWARD, "FORWARD"}, {NF_INET_POST_ROUTING, "POSTROUTING"}};

// What of an entry is needed: it differs between the families in the size of what stands before.
struct Layout {
  std::size_t size;
  std::size_t target_offset_at;
  std::size_t next_offset_at;
};

Layout layout_of(Family family) {
  if (family == Family::kIpv4) {
    return {sizeof(ipt_entry), offsetof(ipt_entry, target_offset), offsetof(ipt_entry, next_offset)};
  }
  return {sizeof(ip6t_entry), offsetof(ip6t_entry, target_offset), offsetof(ip6t_entry, next_offset)};
}

template <typename T>
std::optional<T> read_at(Bytes bytes, std::size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// How many entries stand before the chain's policy.
std::optional<std::uint32_t> count_rules(const Layout& layout, Bytes entries, std::size_t from, std::size_t policy) {
  std::uint32_t count = 0;
  while (from < policy) {
    const auto next = read_at<std::uint16_t>(entries, from + layout.next_offset_at);
    if (!next || *next < layout.size) return std::nullopt;
    from += *next;
    ++count;
  }
  return from == policy ? std::optional(count) : std::nullopt;
}

// The policy is an entry without a condition whose standard target holds the verdict: -NF_DROP - 1 for drop.
std::optional<bool> drops(const Layout& layout, Bytes entries, std::size_t policy) {
  const auto target = read_at<std::uint16_t>(entries, policy + layout.target_offset_at);
  if (!target) return std::nullopt;
  const auto verdict = read_at<int>(entries, policy + *target + offsetof(xt_standard_target, verdict));
  return verdict ? std::optional(*verdict == -NF_DROP - 1) : std::nullopt;
}

}  // namespace

Result<std::vector<FilterFinding>> judge_xtable(Family family, std::string_view table, const XtablesInfo& info,
                                                Bytes entries) {
  const Layout layout = layout_of(family);
  std::vector<FilterFinding> out;
  for (const auto& [hook, name] : kForwardChains) {
    if ((info.valid_hooks & 1u << hook) == 0) continue;
    const auto rules = count_rules(layout, entries, info.hook_entry[hook], info.underflow[hook]);
    const auto drop = drops(layout, entries, info.underflow[hook]);
    if (!rules || !drop) return fail("the rules of table " + std::string(table) + " do not chain up");
    if (*rules == 0 && !*drop) continue;
    FilterFinding finding;
    finding.system = family == Family::kIpv4 ? FilterSystem::kIptables : FilterSystem::kIp6tables;
    finding.table = table;
    finding.chain = name;
    finding.rules = *rules;
    finding.policy_drop = *drop;
    out.push_back(std::move(finding));
  }
  return out;
}

}  // namespace sheath::netlink
