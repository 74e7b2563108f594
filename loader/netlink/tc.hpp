// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/netlink/socket.hpp"

// The clsact qdisc and its filters (rtnetlink, RTM_*QDISC, RTM_*TFILTER; linux/pkt_sched.h). Programs attached by tcx
// links are not filters and do not show up. Every socket here is one of NETLINK_ROUTE.
namespace sheath::netlink {

enum class TcDirection : std::uint8_t { kIngress, kEgress };

struct TcFilter {
  std::uint32_t ifindex = 0;
  TcDirection direction = TcDirection::kIngress;
  // "bpf", "flower", "u32", "matchall", ...
  std::string kind;
  std::uint16_t priority = 0;
  std::uint32_t handle = 0;
  std::uint32_t chain = 0;
  // Of kind bpf: the name it was attached under ("object.o:[section]" or the program's); else empty.
  std::string name;
  // Of kind bpf: the program's ID.
  std::optional<std::uint32_t> program_id;

  bool operator==(const TcFilter&) const = default;
};

// A reply of type RTM_NEWTFILTER; nullopt for any other, and for what only stands for a priority (handle 0). Device and
// direction are those that were asked for: of a shared block (tc block), the reply does not name them.
Result<std::optional<TcFilter>> decode_tc_filter(const Reply& reply, std::uint32_t ifindex, TcDirection direction);

Result<bool> has_clsact(Socket& socket, std::uint32_t ifindex);
// Both directions, in the order in which they run. Empty without clsact.
Result<std::vector<TcFilter>> list_tc_filters(Socket& socket, std::uint32_t ifindex);
// Fails with ENOENT when it is gone already.
Result<> delete_tc_filter(Socket& socket, const TcFilter& filter);
// Removes clsact if no filter is left in it; true: there is none now. For a caller that knows that it made the qdisc; a
// filter that somebody adds between the look and the deletion goes with it, the kernel offers no check in one step.
Result<bool> delete_clsact_if_empty(Socket& socket, std::uint32_t ifindex);

}  // namespace sheath::netlink
