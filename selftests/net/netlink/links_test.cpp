// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>

#include "loader/base/netns.hpp"
#include "loader/base/sysctl.hpp"
#include "sandbox.hpp"

using namespace sheath;
using namespace sheath::netlink;

TEST_CASE("live links: a device is made, found, changed and deleted") {
  Sandbox sandbox;
  auto& route = sandbox.route();
  const Link near = sandbox.add_veth("near", "far");
  CHECK(near.kind == "veth");
  CHECK(near.hardware_type == ARPHRD_ETHER);
  CHECK(near.mtu == 1500);
  CHECK_FALSE(near.up);
  const auto far = *find_link(route, "far");
  REQUIRE(far);
  CHECK(near.peer_ifindex == far->ifindex);
  CHECK(far->peer_ifindex == near.ifindex);
  CHECK_FALSE(near.peer_nsid.has_value());

  REQUIRE(set_link_mtu(route, near.ifindex, 1420));
  REQUIRE(set_link_up(route, near.ifindex, true));
  REQUIRE(set_link_alias(route, near.ifindex, "sheath"));
  auto changed = **find_link(route, near.ifindex);
  CHECK(changed.mtu == 1420);
  CHECK(changed.up);
  CHECK(changed.alias == "sheath");
  REQUIRE(set_link_up(route, near.ifindex, false));
  REQUIRE(set_link_alias(route, near.ifindex, ""));
  changed = **find_link(route, near.ifindex);
  CHECK_FALSE(changed.up);
  CHECK(changed.alias.empty());

  const auto all = *list_links(route);
  CHECK(std::ranges::is_sorted(all, {}, &Link::ifindex));
  CHECK(std::ranges::count(all, "far", &Link::name) == 1);
  REQUIRE(delete_link(route, near.ifindex));
  CHECK_FALSE(find_link(route, near.ifindex)->has_value());
  CHECK_FALSE(find_link(route, "near")->has_value());
  CHECK(delete_link(route, near.ifindex).error().error_number() == ENODEV);
}

TEST_CASE("live links: a name that cannot be one is no device") {
  Sandbox sandbox;
  CHECK_FALSE(find_link(sandbox.route(), "")->has_value());
  CHECK_FALSE(find_link(sandbox.route(), "a-name-of-16-byt")->has_value());
  CHECK_FALSE(find_link(sandbox.route(), 0)->has_value());
}

TEST_CASE("live links: what cannot be made says why, and nothing is left") {
  Sandbox sandbox;
  auto& route = sandbox.route();
  sandbox.add_veth("near", "far");
  NewLink link;
  link.name = "near";
  link.kind = "veth";
  CHECK(create_link(route, link).error().error_number() == EEXIST);

  link.name = "odd0";
  link.kind = "no-such-kind";
  const auto unknown = create_link(route, link).error();
  CHECK(unknown.what() == "create odd0 (no-such-kind): Operation not supported (EOPNOTSUPP): Unknown device type");
  CHECK(unknown.hint().find("modprobe no-such-kind") != std::string::npos);

  link.kind = "veth";
  link.alias = std::string(400, 'x');
  CHECK_FALSE(create_link(route, link).has_value());
  CHECK_FALSE(find_link(route, "odd0")->has_value());
}

TEST_CASE("live links: an alias given at creation is there") {
  Sandbox sandbox;
  NewLink link;
  link.name = "named0";
  link.kind = "veth";
  link.alias = "made by sheath";
  const auto ifindex = create_link(sandbox.route(), link);
  REQUIRE(ifindex);
  CHECK((*find_link(sandbox.route(), *ifindex))->alias == "made by sheath");
}

TEST_CASE("live links: the MAC address of a veth's other end, here and in another namespace") {
  Sandbox other;
  const UniqueFd other_namespace = current_namespace();
  Sandbox sandbox;
  const MacAddress expected{2, 0, 0, 0, 0, 0xaa};
  const Link here = sandbox.add_veth("here", "far");
  const Link away = sandbox.add_veth("away", "eth0", other_namespace.get());
  CHECK(peer_mac(sandbox.route(), here)->value() == expected);
  REQUIRE(away.peer_nsid.has_value());
  const auto mac = peer_mac(sandbox.route(), away);
  REQUIRE_MESSAGE(mac, (mac ? "" : mac.error().what()));
  CHECK(mac->value() == expected);

  Link stranger = away;
  stranger.peer_nsid = 4711;
  CHECK_FALSE(peer_mac(sandbox.route(), stranger)->has_value());
  stranger.peer_nsid = -1;
  CHECK_FALSE(peer_mac(sandbox.route(), stranger)->has_value());
  CHECK_FALSE(peer_mac(sandbox.route(), **find_link(sandbox.route(), "lo"))->has_value());
}

TEST_CASE("live socket: a table that changes while it is read is read again") {
  Sandbox sandbox;
  for (int i = 0; i < 150; ++i) sandbox.add_veth("a" + std::to_string(i), "b" + std::to_string(i));
  auto reader = *Socket::open(NETLINK_ROUTE);
  Message message(RTM_GETLINK);
  message.put_struct(ifinfomsg{});
  int attempts = 0;
  std::vector<std::string> names;
  const auto done = reader.dump(
      message,
      [&] {
        ++attempts;
        names.clear();
      },
      [&](const Reply& reply) -> Result<> {
        if (attempts == 1 && names.empty()) sandbox.add_veth("late", "later");
        names.push_back((*decode_link(reply))->name);
        return {};
      });
  REQUIRE(done);
  CHECK(attempts == 2);
  CHECK(names.size() == 303);
  CHECK(std::ranges::count(names, "later") == 1);
}

TEST_CASE("live socket: a table that never holds still is an error, and the socket works on") {
  Sandbox sandbox;
  for (int i = 0; i < 60; ++i) sandbox.add_veth("a" + std::to_string(i), "b" + std::to_string(i));
  const Link churned = sandbox.add_veth("churned", "peer");
  auto reader = *Socket::open(NETLINK_ROUTE);
  Message message(RTM_GETLINK);
  message.put_struct(ifinfomsg{});
  int attempts = 0, made = 0;
  const auto done = reader.dump(
      message, [&] { ++attempts; },
      [&](const Reply&) -> Result<> {
        if (made < attempts) sandbox.add_veth("c" + std::to_string(made), "d" + std::to_string(made)), ++made;
        return {};
      });
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().error_number() == EINTR);
  CHECK(attempts == Socket::kDumpAttempts);
  CHECK(find_link(reader, churned.ifindex)->has_value());
}

TEST_CASE("live socket: after a handler's error the next request gets its own answer") {
  Sandbox sandbox;
  for (int i = 0; i < 60; ++i) sandbox.add_veth("a" + std::to_string(i), "b" + std::to_string(i));
  auto reader = *Socket::open(NETLINK_ROUTE);
  Message message(RTM_GETLINK);
  message.put_struct(ifinfomsg{});
  const auto done = reader.dump(message, [] {}, [](const Reply&) -> Result<> { return fail("enough"); });
  CHECK(done.error().what() == "enough");
  CHECK(list_links(reader)->size() == 121);
}

TEST_CASE("live socket: a message that overflowed is not sent") {
  Sandbox sandbox;
  Message message(RTM_NEWLINK, 0, 64);
  message.put_struct(ifinfomsg{});
  message.put_string(IFLA_IFNAME, std::string(200, 'x'));
  CHECK(sandbox.route().request(message).error().error_number() == EMSGSIZE);
}

TEST_CASE("live netns: entered by path; what is none is refused") {
  Sandbox first;
  const UniqueFd first_namespace = current_namespace();
  first.add_veth("here", "far");
  Sandbox second;
  CHECK_FALSE(find_link(second.route(), "here")->has_value());
  REQUIRE(enter_network_namespace("/proc/self/fd/" + std::to_string(first_namespace.get())));
  auto route = *Socket::open(NETLINK_ROUTE);
  CHECK(find_link(route, "here")->has_value());

  const auto absent = enter_network_namespace("no-such-namespace").error();
  CHECK(absent.error_number() == ENOENT);
  CHECK_FALSE(absent.hint().empty());
  CHECK(enter_network_namespace("../etc").error().kind() == ErrorKind::kMisuse);
  CHECK(enter_network_namespace("").error().kind() == ErrorKind::kMisuse);
  CHECK(enter_network_namespace("/proc/self/status").error().what().find("is not a network namespace") !=
        std::string::npos);
}

TEST_CASE("live sysctl: a device's own setting, in this namespace") {
  Sandbox sandbox;
  sandbox.add_veth("eth0.5", "far");
  REQUIRE(write_sysctl("net/ipv4/conf/eth0.5/rp_filter", "2"));
  CHECK(*read_sysctl("net/ipv4/conf/eth0.5/rp_filter") == "2");
  CHECK(write_sysctl("net/ipv4/conf/eth0.5/rp_filter", "many").error().error_number() == EINVAL);
  CHECK(read_sysctl("net/ipv4/conf/none/rp_filter").error().error_number() == ENOENT);
}
