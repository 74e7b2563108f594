// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/routes.hpp"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/routes_codec.hpp"
#include "loader/netlink/wire_address.hpp"

namespace sheath::netlink {
namespace {

bool is_unreachable(int error_number) {
  return error_number == ENETUNREACH || error_number == EHOSTUNREACH || error_number == EACCES;
}

Result<std::optional<RouteLookup>> decode_lookup(const Reply& reply, Family family) {
  const auto message = parse_message<rtmsg>(reply.payload);
  if (!message) return fail(message.error());
  const std::uint8_t type = message->header.rtm_type;
  if (type != RTN_UNICAST && type != RTN_LOCAL && type != RTN_BROADCAST && type != RTN_MULTICAST &&
      type != RTN_ANYCAST) {
    return std::nullopt;
  }
  const auto& attributes = message->attributes;
  RouteLookup out;
  out.ifindex = attributes.u32(RTA_OIF).value_or(0);
  out.type = type;
  out.gateway = read_gateway(family, attributes);
  out.source = read_address(family, attributes.find(RTA_PREFSRC));
  return out;
}

Result<> send(Socket& socket, Message message, const char* doing, const NewRoute& route) {
  if (auto done = socket.request(message); !done) {
    return fail(std::move(done.error())
                    .context(doing + route.destination.text() + " by link " + std::to_string(route.ifindex)));
  }
  return {};
}

}  // namespace

Result<std::vector<Route>> list_routes(Socket& socket, std::uint32_t ifindex, std::uint32_t table) {
  Message message(RTM_GETROUTE);
  message.put_struct(rtmsg{});
  std::vector<Route> out;
  const auto add = [&](const Reply& reply) -> Result<> {
    auto routes = decode_route(reply, table);
    if (!routes) return fail(std::move(routes.error()));
    std::ranges::copy_if(*routes, std::back_inserter(out),
                         [&](const Route& route) { return ifindex == 0 || route.ifindex == ifindex; });
    return {};
  };
  if (auto done = socket.dump(message, [&] { out.clear(); }, add); !done) {
    return fail(std::move(done.error()).context("list routes"));
  }
  return out;
}

std::optional<std::uint32_t> default_route_device(const std::vector<Route>& routes, Family family) {
  const Route* best = nullptr;
  for (const Route& route : routes) {
    const bool is_default = route.destination.length == 0 && route.destination.address.family == family;
    if (!is_default || route.ifindex == 0) continue;
    if (best == nullptr || route.metric < best->metric) best = &route;
  }
  if (best == nullptr) return std::nullopt;
  return best->ifindex;
}

Result<std::optional<std::uint32_t>> default_route_device(Socket& socket, Family family) {
  const auto routes = list_routes(socket);
  if (!routes) return fail(routes.error());
  return default_route_device(*routes, family);
}

Result<std::optional<RouteLookup>> look_up_route(Socket& socket, const IpAddress& to) {
  Message message(RTM_GETROUTE);
  rtmsg header{};
  header.rtm_family = static_cast<std::uint8_t>(address_family(to.family));
  header.rtm_dst_len = static_cast<std::uint8_t>(to.size() * 8);
  message.put_struct(header);
  message.put(RTA_DST, address_bytes(to));
  std::optional<RouteLookup> found;
  auto done = socket.request(message, [&](const Reply& reply) -> Result<> {
    auto lookup = decode_lookup(reply, to.family);
    if (!lookup) return fail(std::move(lookup.error()));
    found = *lookup;
    return {};
  });
  if (done || is_unreachable(done.error().error_number())) return found;
  return fail(std::move(done.error()).context("look up the route to " + to.text()));
}

Result<> add_route(Socket& socket, const NewRoute& route) {
  return send(socket, encode_add_route(route), "add the route to ", route);
}

Result<> replace_route(Socket& socket, const NewRoute& route) {
  return send(socket, encode_replace_route(route), "replace the route to ", route);
}

Result<> delete_route(Socket& socket, const NewRoute& route) {
  return send(socket, encode_delete_route(route), "delete the route to ", route);
}

}  // namespace sheath::netlink
