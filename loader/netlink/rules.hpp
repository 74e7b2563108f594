// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/netlink/socket.hpp"

// Routing rules (RTM_*RULE; linux/fib_rules.h) that send packets with a mark to a table. Every socket here is one of
// NETLINK_ROUTE.
namespace sheath::netlink {

struct Rule {
  Family family = Family::kIpv4;
  std::uint32_t priority = 0;  // smaller comes first; main's is 32766
  std::uint32_t mark = 0;
  std::uint32_t mask = 0;
  std::uint32_t table = 0;

  bool operator==(const Rule&) const = default;
};

// The rule in a reply of type RTM_NEWRULE, if Sheath made it (by its protocol number); nullopt for any other.
Result<std::optional<Rule>> decode_own_rule(const Reply& reply);
Message encode_add_rule(const Rule& rule);
Message encode_delete_rule(const Rule& rule);

// Those that Sheath made, of both families.
Result<std::vector<Rule>> list_own_rules(Socket& socket);
// Fails with EEXIST when it is there.
Result<> add_rule(Socket& socket, const Rule& rule);
// Fails with ENOENT when it is gone already.
Result<> delete_rule(Socket& socket, const Rule& rule);

}  // namespace sheath::netlink
