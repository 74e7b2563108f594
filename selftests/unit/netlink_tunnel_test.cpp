// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "loader/netlink/addresses.hpp"
#include "loader/netlink/probe.hpp"
#include "loader/netlink/routes.hpp"
#include "loader/netlink/rules.hpp"
#include "loader/netlink/tunnel_links.hpp"
#include "netlink_bytes.hpp"

// What tunnels need beside keys: their devices, addresses, routes and probes. The bytes of requests are what iproute2
// 6.1.0 sent for the command in front of them, those of devices are from a dump of 6.12.

using namespace sheath;
using namespace sheath::netlink;

namespace {

void check(const char* command, const Message& message, std::uint16_t type, std::size_t struct_size,
           const char* expected) {
  CAPTURE(std::string(command));
  CHECK_FALSE(message.overflowed());
  CHECK(type_of(message) == type);
  CHECK(described(payload_of(message), struct_size) == described(bytes_of(expected), struct_size));
}

// Kind and data of a request for a device; iproute2 sends the kind without its terminating zero.
std::string data_of(Bytes payload) {
  const auto parsed = parse_message<ifinfomsg>(payload);
  const auto info = parsed->attributes.nested(IFLA_LINKINFO);
  return info->string(IFLA_INFO_KIND).value() + "\n" + described(*info->find(IFLA_INFO_DATA), 0);
}

Result<std::optional<Link>> decode(const std::string& text) {
  const auto bytes = bytes_of(text);
  return decode_link({RTM_NEWLINK, bytes});
}

Link link_of(const std::string& text) {
  const auto link = decode(text);
  REQUIRE_MESSAGE(link, (link ? "" : link.error().what()));
  REQUIRE(*link);
  return **link;
}

NewRoute route(const char* destination, std::uint32_t ifindex) {
  NewRoute out;
  out.destination = *Cidr::parse(destination);
  out.ifindex = ifindex;
  return out;
}

}  // namespace

TEST_CASE("tunnel links: made as iproute2 makes them") {
  // ip link add cilium_xfrm0 type xfrm if_id 1
  CHECK(data_of(payload_of(encode_new_link(xfrm_link("cilium_xfrm0", 1)))) ==
        data_of(bytes_of("00*16 1100030063696c69756d5f7866726d3000000000 18001200080001007866726d0c000200 "
                         "0800020001000000 ")));
  // ip link add cilium_vxlan type vxlan external dstport 8472 nolearning udp6zerocsumrx
  CHECK(data_of(payload_of(encode_new_link(vxlan_link("cilium_vxlan")))) ==
        data_of(bytes_of("00*16 1100030063696c69756d5f76786c616e00000000 340012000900010076786c616e00000024000200 "
                         "0500190001000000 0500140001000000 0500070000000000 06000f0021180000 ")));
}

TEST_CASE("tunnel links: what the devices say of themselves; another kind says nothing") {
  const std::string xfrm =
      "0000feff02000000800000 00*5 1100030063696c69756d5f7866726d3000000000 "
      "24001200090001007866726d0000000014000200080001000000000008000200 01000000 ";
  const std::string vxlan =
      "00000100030000000210 00*6 1100030063696c69756d5f76786c616e00000000 "
      "cc0012000a00010076786c616e000000bc000200080001000000000005000500 0000000005001c000000000005000600 "
      "0000000005001d000000000008001a0000000000080020000000000005000700 0000000005000b000000000005000c00 "
      "0000000005000d000000000005000e0000000000050019000100000008000800 2c010000080009000000000006000f00 "
      "2118000005001200010000000500130000000000050014000100000005001500 00000000050016000000000005001f00 "
      "0100000008000a0000000000 ";
  const auto xfrm_device = link_of(xfrm);
  CHECK(xfrm_device.kind == "xfrm");
  CHECK(xfrm_device.xfrm_if_id == 1u);
  CHECK_FALSE(xfrm_device.vxlan.has_value());
  const auto vxlan_device = link_of(vxlan);
  CHECK(vxlan_device.kind == "vxlan");
  CHECK(vxlan_device.vxlan == Vxlan{8472, true});
  CHECK_FALSE(vxlan_device.xfrm_if_id.has_value());

  const auto plain = link_of(
      "00*16 0700030076783100 24001200 0a00010076786c616e000000 14000200 0600 0f00 12b50000 "
      "05001900 00000000 ");
  CHECK(plain.vxlan == Vxlan{4789, false});
  const auto other = link_of("00*16 0700030077673000 18001200 0800010077673100 0c000200 08000200 01000000 ");
  CHECK(other.kind == "wg1");
  CHECK_FALSE(other.xfrm_if_id.has_value());
  CHECK_FALSE(decode("00*16 0700030078663000 18001200 080001007866726d 0c000200 0c000200 01000000 ").has_value());
}

TEST_CASE("addresses: given and taken as iproute2 does it") {
  check("ip addr add 10.244.1.9/32 dev cilium_vxlan noprefixroute", encode_add_address(3, ip("10.244.1.9")),
        RTM_NEWADDR, sizeof(ifaddrmsg), "0220000003000000 080002000af40109 0800080000020000 080001000af40109 ");
  check("ip addr add fd00:1::9/128 dev cilium_vxlan noprefixroute nodad", encode_add_address(3, ip("fd00:1::9")),
        RTM_NEWADDR, sizeof(ifaddrmsg),
        "0a80000003000000 14000200fd000001 00*11 09 0800080002020000 14000100fd000001 00*11 09 ");
  check("ip addr del fd00:1::9/128 dev cilium_vxlan", encode_delete_address(3, ip("fd00:1::9")), RTM_DELADDR,
        sizeof(ifaddrmsg), "0a80000003000000 14000200fd000001 00*11 09 14000100fd000001 00*11 09 ");
}

TEST_CASE("routes: made and deleted as iproute2 does it") {
  NewRoute with_all = route("10.244.2.0/24", 2);
  with_all.source = ip("10.244.1.9");
  with_all.mtu = 1400;
  NewRoute v6 = route("fd00:2::/64", 2);
  v6.source = ip("fd00:1::9");
  NewRoute behind = route("10.244.4.0/24", 3);
  behind.gateway = ip("10.9.9.9");

  check("ip route add 10.244.2.0/24 dev cilium_xfrm0 src 10.244.1.9 proto 94 scope link mtu 1400",
        encode_add_route(with_all), RTM_NEWROUTE, sizeof(rtmsg),
        "02180000fe5efd0100000000 080001000af40200 080007000af40109 0800040002000000 0c0008000800020078050000 ");
  check("ip -6 route add fd00:2::/64 dev cilium_xfrm0 src fd00:1::9 proto 94", encode_add_route(v6), RTM_NEWROUTE,
        sizeof(rtmsg), "0a400000fe5e000100000000 14000100fd000002 00*12 14000700fd000001 00*11 09 0800040002000000 ");
  check("ip route add 10.244.4.0/24 via 10.9.9.9 dev cilium_vxlan onlink proto 94", encode_add_route(behind),
        RTM_NEWROUTE, sizeof(rtmsg), "02180000fe5e000104000000 080001000af40400 080005000a090909 0800040003000000 ");
  check("ip route del 10.244.2.0/24 dev cilium_xfrm0 proto 94", encode_delete_route(with_all), RTM_DELROUTE,
        sizeof(rtmsg), "02180000fe5eff0000000000 080001000af40200 0800040002000000 ");

  const auto flags_of = [](const Message& message) {
    nlmsghdr header;
    std::memcpy(&header, message.bytes().data(), sizeof header);
    return header.nlmsg_flags;
  };
  CHECK(flags_of(encode_add_route(v6)) == (NLM_F_CREATE | NLM_F_EXCL));
  CHECK(flags_of(encode_replace_route(v6)) == (NLM_F_CREATE | NLM_F_REPLACE));
  CHECK(described(payload_of(encode_replace_route(v6)), sizeof(rtmsg)) ==
        described(payload_of(encode_add_route(v6)), sizeof(rtmsg)));
}

TEST_CASE("routes: in a table of their own, as iproute2 makes and deletes them") {
  NewRoute detour = route("172.18.0.4/32", 3);
  detour.gateway = ip("10.9.9.9");
  detour.table = 3584;
  check("ip route replace 172.18.0.4/32 via 10.9.9.9 dev v0 onlink proto 94 table 3584", encode_replace_route(detour),
        RTM_NEWROUTE, sizeof(rtmsg),
        "02200000005e000104000000 08000100ac120004 080005000a090909 08000f00000e0000 0800040003000000 ");
  check("ip route del 172.18.0.4/32 dev v0 proto 94 table 3584", encode_delete_route(detour), RTM_DELROUTE,
        sizeof(rtmsg), "02200000005eff0000000000 08000100ac120004 08000f00000e0000 0800040003000000 ");
  const auto message = encode_replace_route(detour);
  const Reply reply{RTM_NEWROUTE, payload_of(message)};
  CHECK(decode_route(reply)->empty());
  CHECK(decode_route(reply, 3584)->front().gateway == detour.gateway);
}

TEST_CASE("rules: made and deleted as iproute2 does it, and read back") {
  const Rule v4{Family::kIpv4, 90, 0xe00, 0xffffffff, 3584};
  const Rule v6{Family::kIpv6, 90, 0xe00, 0xffffffff, 3584};
  check(
      "ip rule add fwmark 0xe00/0xffffffff lookup 3584 pref 90 protocol 94", encode_add_rule(v4), RTM_NEWRULE,
      sizeof(fib_rule_hdr),
      "020000000000000100000000 08000a00000e0000 08001000ffffffff 08000f00000e0000 080006005a000000 050015005e000000 ");
  check(
      "ip -6 rule del fwmark 0xe00/0xffffffff lookup 3584 pref 90 protocol 94", encode_delete_rule(v6), RTM_DELRULE,
      sizeof(fib_rule_hdr),
      "0a0000000000000000000000 08000a00000e0000 08001000ffffffff 08000f00000e0000 080006005a000000 050015005e000000 ");
  const auto message = encode_add_rule(v6);
  CHECK(decode_own_rule({RTM_NEWRULE, payload_of(message)}).value() == v6);
  CHECK_FALSE(decode_own_rule({RTM_NEWROUTE, payload_of(message)}).value().has_value());
}

TEST_CASE("routes: a new one reads back with its maker, source and MTU") {
  NewRoute made = route("10.244.2.0/24", 2);
  made.source = ip("10.244.1.9");
  made.mtu = 1400;
  const auto message = encode_add_route(made);
  const auto routes = decode_route({RTM_NEWROUTE, payload_of(message)});
  REQUIRE(routes);
  REQUIRE(routes->size() == 1);
  CHECK(routes->front().destination == made.destination);
  CHECK(routes->front().ifindex == 2);
  CHECK(routes->front().protocol == kSheathRouteProtocol);
  CHECK(routes->front().source == made.source);
  CHECK(routes->front().mtu == 1400);
}

TEST_CASE("probe: an IPv4 packet, byte by byte") {
  CHECK(probe_packet(ip("10.244.1.9"), ip("10.244.2.9"), 3) ==
        bytes_of("45000024 00004000 08fd58e4 0af40109 0af40209 73686561 74682d70 726f6265 00 03 0000"));
}

TEST_CASE("probe: an IPv6 packet, byte by byte") {
  CHECK(probe_packet(ip("fd00:1::9"), ip("fd00:2::9"), 15) ==
        bytes_of("60000000 0010 fd 08 fd000001 00*11 09 fd000002 00*11 09 73686561 74682d70 726f6265 00 0f 0000"));
}

TEST_CASE("probe: the checksum of an IPv4 header sums to all ones, whatever the addresses") {
  for (const char* source : {"0.0.0.0", "255.255.255.255", "10.0.0.1", "172.31.255.254", "1.2.3.4"}) {
    CAPTURE(std::string(source));
    const auto packet = probe_packet(ip(source), ip("192.168.255.3"), 0);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < 20; i += 2) sum += static_cast<std::uint32_t>(packet[i] << 8 | packet[i + 1]);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    CHECK(sum == 0xffff);
  }
}

TEST_CASE("probe: what is no IP packet is not sent") {
  auto socket = PacketSocket::open();
  REQUIRE(socket);
  CHECK_FALSE(socket->send(1, 0, {}).has_value());
  const std::uint8_t odd[] = {0x50, 0};
  CHECK(socket->send(1, 0, odd).error().what() == "send a packet out of link 1: it is neither IPv4 nor IPv6");
}
