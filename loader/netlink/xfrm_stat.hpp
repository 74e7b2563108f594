// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "loader/base/result.hpp"

// What IPsec dropped, and why: the counters of a network namespace (/proc/net/xfrm_stat).
namespace sheath::netlink {

// "XfrmInNoStates" → 3. The kernel's list grows with its versions.
using XfrmStat = std::map<std::string, std::uint64_t>;

// Lines of a name, blanks and a number.
Result<XfrmStat> parse_xfrm_stat(const std::vector<std::string>& lines);

// Of the namespace this thread is in. Empty on a kernel without CONFIG_XFRM_STATISTICS.
Result<XfrmStat> read_xfrm_stat();

}  // namespace sheath::netlink
