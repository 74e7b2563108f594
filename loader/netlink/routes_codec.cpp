// SPDX-License-Identifier: Apache-2.0
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/routes.hpp"
#include "loader/netlink/routes_codec.hpp"
#include "loader/netlink/wire_address.hpp"

namespace sheath::netlink {
namespace {

// The gateway of the other family (struct rtvia): its family as a host-order u16, then the address.
std::optional<IpAddress> via(const Attributes& attributes) {
  const auto bytes = attributes.find(RTA_VIA);
  std::uint16_t family_number = 0;
  if (!bytes || bytes->size() < sizeof family_number) return std::nullopt;
  std::memcpy(&family_number, bytes->data(), sizeof family_number);
  const auto family = family_of(family_number);
  return family ? read_address(*family, bytes->subspan(sizeof family_number)) : std::nullopt;
}

Result<std::vector<Route>> decode_multipath(const Route& route, Bytes hops) {
  std::vector<Route> out;
  while (!hops.empty()) {
    rtnexthop hop;
    if (hops.size() < sizeof hop) return fail("next hop of " + route.destination.text() + " is cut short");
    std::memcpy(&hop, hops.data(), sizeof hop);
    if (hop.rtnh_len < sizeof hop || hop.rtnh_len > hops.size()) {
      return fail("next hop of " + route.destination.text() + " runs past the end");
    }
    const auto attributes = Attributes::parse(hops.subspan(sizeof hop, hop.rtnh_len - sizeof hop));
    if (!attributes) return fail(attributes.error());
    out.push_back(route);
    out.back().ifindex = static_cast<std::uint32_t>(hop.rtnh_ifindex);
    out.back().gateway = read_gateway(route.destination.address.family, *attributes);
    hops = hops.subspan(std::min<std::size_t>(RTNH_ALIGN(hop.rtnh_len), hops.size()));
  }
  return out;
}

Result<Cidr> destination(Family family, const rtmsg& header, const Attributes& attributes) {
  const auto bytes = attributes.find(RTA_DST);
  const auto address = bytes ? read_address(family, *bytes) : IpAddress{family, {}};
  if (!address || header.rtm_dst_len > address->size() * 8) return fail("route has a malformed destination");
  return Cidr{*address, header.rtm_dst_len};
}

Result<std::uint32_t> mtu_of(const Attributes& attributes) {
  const auto metrics = attributes.nested(RTA_METRICS);
  if (!metrics) return fail(metrics.error());
  return metrics->u32(RTAX_MTU).value_or(0);
}

// The header and what all three requests say of a route.
Message about(std::uint16_t type, std::uint16_t flags, const NewRoute& route, rtmsg header) {
  const IpAddress& to = route.destination.address;
  header.rtm_family = static_cast<std::uint8_t>(address_family(to.family));
  header.rtm_dst_len = route.destination.length;
  constexpr std::uint32_t kLargestInHeader = 255;
  header.rtm_table = static_cast<std::uint8_t>(route.table > kLargestInHeader ? 0U + RT_TABLE_UNSPEC : route.table);
  header.rtm_protocol = route.protocol;
  Message message(type, flags);
  message.put_struct(header);
  message.put(RTA_DST, address_bytes(to));
  message.put_u32(RTA_OIF, route.ifindex);
  if (header.rtm_table == RT_TABLE_UNSPEC) message.put_u32(RTA_TABLE, route.table);
  return message;
}

// Scopes are IPv4's: a destination on the link is nearer than one behind a gateway.
std::uint8_t scope_of(const NewRoute& route) {
  const bool on_link = route.destination.address.family == Family::kIpv4 && !route.gateway;
  return on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

Message encode_new_route(std::uint16_t flags, const NewRoute& route) {
  rtmsg header{};
  header.rtm_type = RTN_UNICAST;
  header.rtm_scope = scope_of(route);
  if (route.gateway) header.rtm_flags = RTNH_F_ONLINK;
  Message message = about(RTM_NEWROUTE, flags, route, header);
  if (route.gateway) message.put(RTA_GATEWAY, address_bytes(*route.gateway));
  if (route.source) message.put(RTA_PREFSRC, address_bytes(*route.source));
  if (route.mtu == 0) return message;
  auto metrics = message.nest(RTA_METRICS);
  message.put_u32(RTAX_MTU, route.mtu);
  metrics.close();
  return message;
}

}  // namespace

std::optional<IpAddress> read_gateway(Family family, const Attributes& attributes) {
  const auto gateway = read_address(family, attributes.find(RTA_GATEWAY));
  return gateway ? gateway : via(attributes);
}

Result<std::vector<Route>> decode_route(const Reply& reply, std::uint32_t wanted) {
  std::vector<Route> none;
  if (reply.type != RTM_NEWROUTE) return none;
  const auto message = parse_message<rtmsg>(reply.payload);
  if (!message) return fail(message.error());
  const auto& [header, attributes] = *message;
  const auto family = family_of(header.rtm_family);
  const std::uint32_t table = attributes.u32(RTA_TABLE).value_or(header.rtm_table);
  if (!family || table != wanted || header.rtm_type != RTN_UNICAST) return none;
  const auto to = destination(*family, header, attributes);
  if (!to) return fail(to.error());

  Route route;
  route.destination = *to;
  route.metric = attributes.u32(RTA_PRIORITY).value_or(0);
  route.type = header.rtm_type;
  route.protocol = header.rtm_protocol;
  route.source = read_address(*family, attributes.find(RTA_PREFSRC));
  const auto mtu = mtu_of(attributes);
  if (!mtu) return fail(mtu.error());
  route.mtu = *mtu;
  if (const auto hops = attributes.find(RTA_MULTIPATH)) return decode_multipath(route, *hops);
  route.ifindex = attributes.u32(RTA_OIF).value_or(0);
  route.gateway = read_gateway(*family, attributes);
  return std::vector{route};
}

Message encode_add_route(const NewRoute& route) {
  return encode_new_route(NLM_F_CREATE | NLM_F_EXCL, route);
}

Message encode_replace_route(const NewRoute& route) {
  return encode_new_route(NLM_F_CREATE | NLM_F_REPLACE, route);
}

Message encode_delete_route(const NewRoute& route) {
  rtmsg header{};
  // Any scope. IPv6 does not look at it.
  header.rtm_scope = RT_SCOPE_NOWHERE;
  return about(RTM_DELROUTE, 0, route, header);
}

}  // namespace sheath::netlink
