// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "loader/netlink/addresses.hpp"
#include "loader/netlink/neighbours.hpp"
#include "loader/netlink/routes.hpp"
#include "sandbox.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

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
