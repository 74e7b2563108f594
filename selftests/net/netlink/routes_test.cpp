// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>

#include "loader/netlink/addresses.hpp"
#include "loader/netlink/neighbours.hpp"
#include "loader/netlink/routes.hpp"
#include "sandbox.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

// eth0 (172.18.0.4/24, fd00:172:18::4/64) and eth1 (10.9.0.1/24), both up with their other ends.
struct Host : Sandbox {
  Link eth0 = add_veth("eth0", "far0");
  Link eth1 = add_veth("eth1", "far1");

  Host() {
    for (const char* name : {"eth0", "far0", "eth1", "far1"}) {
      REQUIRE(set_link_up(route(), (*find_link(route(), name))->ifindex, true));
    }
    add_address(eth0.ifindex, *Cidr::parse("172.18.0.0/24"), ip("172.18.0.4"));
    add_address(eth0.ifindex, *Cidr::parse("fd00:172:18::/64"), ip("fd00:172:18::4"));
    add_address(eth1.ifindex, *Cidr::parse("10.9.0.0/24"), ip("10.9.0.1"));
  }
};

}  // namespace

TEST_CASE("live addresses: of one device and of all, IPv4 first") {
  Host host;
  const auto all = *list_addresses(host.route());
  CHECK(std::ranges::is_sorted(all, {}, [](const InterfaceAddress& a) { return a.address.family; }));
  CHECK(std::ranges::count(all, host.eth1.ifindex, &InterfaceAddress::ifindex) >= 1);
  const auto own = *list_addresses(host.route(), host.eth0.ifindex);
  REQUIRE(own.size() >= 2);
  CHECK(own[0].address.text() == "172.18.0.4");
  CHECK(own[0].prefix_length == 24);
  CHECK(own[0].scope == Scope::kGlobal);
  const auto v6 = std::ranges::find(own, ip("fd00:172:18::4"), &InterfaceAddress::address);
  REQUIRE(v6 != own.end());
  CHECK_FALSE(v6->tentative);
  CHECK(std::ranges::all_of(own, [&](const InterfaceAddress& a) { return a.ifindex == host.eth0.ifindex; }));
  CHECK(list_addresses(host.route(), 4711)->empty());
}

TEST_CASE("live routes: table main, the uplink by metric, and what the kernel would take") {
  Host host;
  auto& route = host.route();
  CHECK_FALSE(default_route_device(route, Family::kIpv4)->has_value());
  CHECK_FALSE(look_up_route(route, ip("192.0.2.1"))->has_value());
  CHECK_FALSE(look_up_route(route, ip("2001:db8::1"))->has_value());
  host.add_route(*Cidr::parse("0.0.0.0/0"), host.eth1.ifindex, ip("10.9.0.254"), 200);
  host.add_route(*Cidr::parse("0.0.0.0/0"), host.eth0.ifindex, ip("172.18.0.1"), 100);
  host.add_route(*Cidr::parse("::/0"), host.eth0.ifindex, ip("fd00:172:18::1"), 1024);
  CHECK(*default_route_device(route, Family::kIpv4) == host.eth0.ifindex);
  CHECK(*default_route_device(route, Family::kIpv6) == host.eth0.ifindex);

  const auto routes = *list_routes(route);
  const auto is_on_link = [](const Route& r) { return r.destination.text() == "172.18.0.0/24" && !r.gateway; };
  CHECK(std::ranges::count_if(routes, is_on_link) == 1);
  CHECK(std::ranges::none_of(routes, [](const Route& r) { return r.destination.text() == "172.18.0.4/32"; }));

  const auto world = *look_up_route(route, ip("192.0.2.1"));
  REQUIRE(world);
  CHECK(world->ifindex == host.eth0.ifindex);
  CHECK(world->gateway->text() == "172.18.0.1");
  CHECK(world->source->text() == "172.18.0.4");
  CHECK((*look_up_route(route, ip("172.18.0.4")))->type == RTN_LOCAL);
  CHECK((*look_up_route(route, ip("2001:db8::1")))->gateway->text() == "fd00:172:18::1");
}

TEST_CASE("live neighbours: of one device") {
  Host host;
  const MacAddress mac{2, 0, 0, 0, 0, 9};
  host.add_neighbour(host.eth0.ifindex, ip("172.18.0.9"), mac);
  host.add_neighbour(host.eth1.ifindex, ip("10.9.0.9"), mac);
  const auto own = *list_neighbours(host.route(), host.eth0.ifindex);
  const auto found = std::ranges::find(own, ip("172.18.0.9"), &Neighbour::address);
  REQUIRE(found != own.end());
  CHECK(found->mac == mac);
  CHECK(found->valid());
  CHECK(std::ranges::all_of(own, [&](const Neighbour& n) { return n.ifindex == host.eth0.ifindex; }));
  const auto all = *list_neighbours(host.route());
  CHECK(std::ranges::count(all, ip("10.9.0.9"), &Neighbour::address) == 1);
}

TEST_CASE("live routes: ours are told from others' by their number, and only ours go") {
  Host host;
  auto& route = host.route();
  NewRoute ours;
  ours.destination = *Cidr::parse("10.244.2.0/24");
  ours.ifindex = host.eth1.ifindex;
  ours.source = ip("10.9.0.1");
  ours.mtu = 1400;
  REQUIRE(add_route(route, ours));
  CHECK(add_route(route, ours).error().error_number() == EEXIST);
  const auto find = [&](const NewRoute& wanted) -> std::optional<Route> {
    const auto routes = *list_routes(route, wanted.ifindex);
    const auto found = std::ranges::find(routes, wanted.destination, &Route::destination);
    return found == routes.end() ? std::nullopt : std::optional(*found);
  };
  REQUIRE(find(ours));
  CHECK(find(ours)->protocol == kSheathRouteProtocol);
  CHECK(find(ours)->source == ours.source);
  CHECK(find(ours)->mtu == 1400);
  CHECK_FALSE(find(ours)->gateway.has_value());
  CHECK(std::ranges::all_of(*list_routes(route, host.eth1.ifindex),
                            [&](const Route& r) { return r.ifindex == host.eth1.ifindex; }));

  auto moved = ours;
  moved.ifindex = host.eth0.ifindex;
  moved.gateway = ip("192.0.2.1");
  moved.source = std::nullopt;
  moved.mtu = 0;
  REQUIRE(replace_route(route, moved));
  CHECK_FALSE(find(ours).has_value());
  REQUIRE(find(moved));
  CHECK(find(moved)->gateway == moved.gateway);
  CHECK(find(moved)->mtu == 0);
  CHECK(delete_route(route, ours).error().error_number() == ESRCH);
  auto foreign = moved;
  foreign.protocol = RTPROT_STATIC;
  CHECK(delete_route(route, foreign).error().error_number() == ESRCH);
  REQUIRE(delete_route(route, moved));
  CHECK_FALSE(find(moved).has_value());
}

TEST_CASE("live routes: IPv6 ones are added, replaced and deleted too") {
  Host host;
  auto& route = host.route();
  NewRoute ours;
  ours.destination = *Cidr::parse("fd00:10:2::/64");
  ours.ifindex = host.eth0.ifindex;
  REQUIRE(add_route(route, ours));
  CHECK(add_route(route, ours).error().error_number() == EEXIST);
  ours.source = ip("fd00:172:18::4");
  REQUIRE(replace_route(route, ours));
  const auto routes = *list_routes(route, ours.ifindex);
  const auto found = std::ranges::find(routes, ours.destination, &Route::destination);
  REQUIRE(found != routes.end());
  CHECK(found->protocol == kSheathRouteProtocol);
  CHECK(found->source == ours.source);
  CHECK(std::ranges::count(routes, ours.destination, &Route::destination) == 1);
  auto foreign = ours;
  foreign.protocol = RTPROT_STATIC;
  CHECK(delete_route(route, foreign).error().error_number() == ESRCH);
  REQUIRE(delete_route(route, ours));
  CHECK(delete_route(route, ours).error().error_number() == ESRCH);
}

TEST_CASE("live addresses: one of its own is there at once, without a route, and twice is once") {
  Host host;
  auto& route = host.route();
  for (const char* text : {"10.244.1.9", "fd00:10:1::9"}) {
    CAPTURE(std::string(text));
    CHECK(*add_address(route, host.eth1.ifindex, ip(text)));
    CHECK_FALSE(*add_address(route, host.eth1.ifindex, ip(text)));
    const auto own = *list_addresses(route, host.eth1.ifindex);
    const auto found = std::ranges::find(own, ip(text), &InterfaceAddress::address);
    REQUIRE(found != own.end());
    CHECK(found->prefix_length == found->address.size() * 8);
    CHECK(found->scope == Scope::kGlobal);
    CHECK_FALSE(found->tentative);
    // The kernel adds routes of its own meanwhile (link-local ones, when a link comes up), but none to this address.
    const auto routes = *list_routes(route);
    CHECK(std::ranges::none_of(routes, [&](const Route& one) {
      return one.destination.length != 0 && one.destination.contains(ip(text)) &&
             one.destination.length > (found->address.family == Family::kIpv4 ? 24 : 64);
    }));
    CHECK(*delete_address(route, host.eth1.ifindex, ip(text)));
    CHECK_FALSE(*delete_address(route, host.eth1.ifindex, ip(text)));
  }
  CHECK(add_address(route, 4711, ip("10.244.1.9")).error().error_number() == ENODEV);
}
