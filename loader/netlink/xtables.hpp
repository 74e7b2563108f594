// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/netlink/message.hpp"
#include "loader/netlink/netfilter.hpp"

// Rules of the older iptables and ip6tables, which are not nf_tables' (linux/netfilter_ipv4/ip_tables.h, getsockopt).
namespace sheath::netlink {

// A table as the kernel describes it; arrays are by hook (NF_INET_PRE_ROUTING first), offsets are bytes into the
// entries.
struct XtablesInfo {
  std::uint32_t valid_hooks = 0;
  std::array<std::uint32_t, 5> hook_entry{};
  // Where the chain's policy is.
  std::array<std::uint32_t, 5> underflow{};
};

// The findings in one table. Fails on entries that do not chain up to the policy of their hook.
Result<std::vector<FilterFinding>> judge_xtable(Family family, std::string_view table, const XtablesInfo& info,
                                                Bytes entries);

// Of the tables that are in use in this thread's network namespace (/proc/thread-self/net/ip_tables_names): asking for
// another would make it.
Result<std::vector<FilterFinding>> list_xtables_filters(Family family);

}  // namespace sheath::netlink
