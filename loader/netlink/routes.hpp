// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/netlink/socket.hpp"

// Routes (rtnetlink, RTM_*ROUTE; linux/rtnetlink.h). Every socket here is one of NETLINK_ROUTE.
namespace sheath::netlink {

// Who made a route (rtm_protocol): the one number that tells ours from others'.
inline constexpr std::uint8_t kSheathRouteProtocol = 0x5e;

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
  // RTPROT_KERNEL, RTPROT_STATIC, kSheathRouteProtocol, ...
  std::uint8_t protocol = 0;
  // The source address of what takes this route and has none yet.
  std::optional<IpAddress> source;
  // Of packets on this route; 0: the device's.
  std::uint32_t mtu = 0;

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

inline constexpr std::uint32_t kMainTable = 254;  // RT_TABLE_MAIN

// The unicast routes of a table in a reply of type RTM_NEWROUTE, one a hop; empty for any other.
Result<std::vector<Route>> decode_route(const Reply& reply, std::uint32_t table = kMainTable);

// Both families, unicast routes only. `ifindex` 0: of all devices.
Result<std::vector<Route>> list_routes(Socket& socket, std::uint32_t ifindex = 0, std::uint32_t table = kMainTable);
// The device of the default route with the smallest metric; nullopt without one. Of a multipath one, the first hop's.
Result<std::optional<std::uint32_t>> default_route_device(Socket& socket, Family family);
// The same from a list.
std::optional<std::uint32_t> default_route_device(const std::vector<Route>& routes, Family family);
// What the kernel's routing rules say for a packet of this host to `to`. nullopt: unreachable.
Result<std::optional<RouteLookup>> look_up_route(Socket& socket, const IpAddress& to);

// A unicast route.
struct NewRoute {
  Cidr destination;
  std::uint32_t ifindex = 0;
  // Of the destination's family; believed to be on the link though no route says so (onlink). Absent: the destination
  // is on the link.
  std::optional<IpAddress> gateway;
  // An address of this host.
  std::optional<IpAddress> source;
  // 0: the device's.
  std::uint32_t mtu = 0;
  std::uint8_t protocol = kSheathRouteProtocol;
  std::uint32_t table = kMainTable;
};

Message encode_add_route(const NewRoute& route);
Message encode_replace_route(const NewRoute& route);
Message encode_delete_route(const NewRoute& route);

// Fails with EEXIST when the destination has a route, by whatever device. The device has to be up.
Result<> add_route(Socket& socket, const NewRoute& route);
// Adds it, or replaces what is there for the destination with the same metric, whoever made that: for a caller that has
// looked.
Result<> replace_route(Socket& socket, const NewRoute& route);
// The one with this destination, device and protocol; the rest is ignored. Fails with ESRCH when it is gone already.
Result<> delete_route(Socket& socket, const NewRoute& route);

}  // namespace sheath::netlink
