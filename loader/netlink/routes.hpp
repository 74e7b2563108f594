// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/netlink/socket.hpp"

// Routes (rtnetlink, RTM_GETROUTE; linux/rtnetlink.h). Every socket here is one of NETLINK_ROUTE.
namespace sheath::netlink {

struct Route {
  // 0.0.0.0/0 or ::/0 for the default route.
  Cidr destination;
  // 0: none, as in a blackhole route.
  std::uint32_t ifindex = 0;
  // Of either family: an IPv4 route may have an IPv6 gateway. Absent: the destination is on the link.
  std::optional<IpAddress> gateway;
  // Smaller wins.
  std::uint32_t metric = 0;
  // RTN_UNICAST, RTN_LOCAL, RTN_BLACKHOLE, ...
  std::uint8_t type = 0;
  // Of a multipath route, each further hop is a Route of its own.
  bool operator==(const Route&) const = default;
};

struct RouteLookup {
  std::uint32_t ifindex = 0;
  std::uint8_t type = 0;
  std::optional<IpAddress> gateway;
  // The source address that the kernel would take.
  std::optional<IpAddress> source;
};

// The unicast routes of table main of a reply of type RTM_NEWROUTE, one a hop; empty for any other.
Result<std::vector<Route>> decode_route(const Reply& reply);

// Table main, both families, unicast routes only.
Result<std::vector<Route>> list_routes(Socket& socket);
// The device of the default route with the smallest metric; nullopt without one. Of a multipath one, the first hop's.
Result<std::optional<std::uint32_t>> default_route_device(Socket& socket, Family family);
// The same from a list.
std::optional<std::uint32_t> default_route_device(const std::vector<Route>& routes, Family family);
// What the kernel's routing rules say for a packet of this host to `to`. nullopt: unreachable.
Result<std::optional<RouteLookup>> look_up_route(Socket& socket, const IpAddress& to);

}  // namespace sheath::netlink
