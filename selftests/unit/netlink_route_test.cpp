// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "loader/netlink/addresses.hpp"
#include "loader/netlink/attributes.hpp"
#include "loader/netlink/links.hpp"
#include "loader/netlink/neighbours.hpp"
#include "loader/netlink/routes.hpp"
#include "loader/netlink/tc.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

Reply reply_of(const Message& message, std::uint16_t type) {
  return {type, message.bytes().subspan(sizeof(nlmsghdr))};
}

IpAddress address(const char* text) {
  return *IpAddress::parse(text);
}

void put_address(Message& message, int type, const IpAddress& value) {
  message.put(type, Bytes(value.bytes).first(value.size()));
}

Route route(const char* to, std::uint32_t ifindex, std::uint32_t metric) {
  return {*Cidr::parse(to), ifindex, {}, metric, RTN_UNICAST, RTPROT_STATIC, {}, 0};
}

}  // namespace

TEST_CASE("links: a veth whose other end is elsewhere") {
  Message message(RTM_NEWLINK);
  ifinfomsg header{};
  header.ifi_index = 7;
  header.ifi_type = ARPHRD_ETHER;
  header.ifi_flags = 1;  // IFF_UP
  message.put_struct(header);
  message.put_string(IFLA_IFNAME, "lxc1234");
  message.put_u32(IFLA_MTU, 1420);
  message.put_u32(IFLA_LINK, 7);
  message.put_u32(IFLA_LINK_NETNSID, 3);
  message.put(IFLA_ADDRESS, MacAddress{2, 0, 0, 0, 0, 0xab});
  {
    auto info = message.nest(IFLA_LINKINFO);
    message.put_string(IFLA_INFO_KIND, "veth");
  }
  const auto link = decode_link(reply_of(message, RTM_NEWLINK));
  REQUIRE(link);
  REQUIRE(*link);
  CHECK((*link)->name == "lxc1234");
  CHECK((*link)->kind == "veth");
  CHECK((*link)->up);
  CHECK((*link)->mtu == 1420);
  CHECK((*link)->peer_ifindex == 7u);  // the same number in another namespace is another device
  CHECK((*link)->peer_nsid == 3);
  CHECK(mac_text(*(*link)->mac) == "02:00:00:00:00:ab");
  CHECK_FALSE((*decode_link(reply_of(message, RTM_DELLINK))).has_value());
}

TEST_CASE("links: a device without a name or with a torn payload is an error") {
  Message message(RTM_NEWLINK);
  message.put_struct(ifinfomsg{});
  CHECK_FALSE(decode_link(reply_of(message, RTM_NEWLINK)).has_value());
  const auto whole = reply_of(message, RTM_NEWLINK);
  CHECK_FALSE(decode_link({RTM_NEWLINK, whole.payload.first(8)}).has_value());
}

TEST_CASE("links: a new one carries kind, MTU and the kind's own data") {
  NewLink link;
  link.name = "cilium_wg0";
  link.kind = "wireguard";
  link.mtu = 1420;
  link.put_data = [](Message& message) { message.put_u32(9, 1); };
  const Message message = encode_new_link(link);
  const auto parsed = parse_message<ifinfomsg>(message.bytes().subspan(sizeof(nlmsghdr)));
  REQUIRE(parsed);
  CHECK(parsed->attributes.string(IFLA_IFNAME) == "cilium_wg0");
  CHECK(parsed->attributes.u32(IFLA_MTU) == 1420u);
  const auto info = parsed->attributes.nested(IFLA_LINKINFO);
  CHECK(info->string(IFLA_INFO_KIND) == "wireguard");
  CHECK(info->nested(IFLA_INFO_DATA)->u32(9) == 1u);
}

TEST_CASE("addresses: the local one, not the far end's; tentative and optimistic told apart") {
  struct Case {
    std::uint32_t flags;
    bool tentative;
  };
  for (const auto& [flags, tentative] :
       {Case{IFA_F_PERMANENT, false}, Case{IFA_F_TENTATIVE, true}, Case{IFA_F_TENTATIVE | IFA_F_OPTIMISTIC, false},
        Case{IFA_F_DADFAILED, true}}) {
    CAPTURE(flags);
    Message message(RTM_NEWADDR);
    ifaddrmsg header{};
    header.ifa_family = 10;
    header.ifa_prefixlen = 64;
    header.ifa_index = 3;
    header.ifa_scope = RT_SCOPE_LINK;
    message.put_struct(header);
    put_address(message, IFA_ADDRESS, address("fe80::2"));
    put_address(message, IFA_LOCAL, address("fe80::1"));
    message.put_u32(IFA_FLAGS, flags);
    const auto decoded = **decode_address(reply_of(message, RTM_NEWADDR));
    CHECK(decoded.address.text() == "fe80::1");
    CHECK(decoded.prefix_length == 64);
    CHECK(decoded.scope == Scope::kLink);
    CHECK(decoded.tentative == tentative);
  }
}

TEST_CASE("addresses: one of another size than its family's is an error, another family is left out") {
  Message message(RTM_NEWADDR);
  ifaddrmsg header{};
  header.ifa_family = 2;
  message.put_struct(header);
  put_address(message, IFA_LOCAL, address("fe80::1"));
  CHECK_FALSE(decode_address(reply_of(message, RTM_NEWADDR)).has_value());
  Message other(RTM_NEWADDR);
  header.ifa_family = 28;
  other.put_struct(header);
  CHECK_FALSE((*decode_address(reply_of(other, RTM_NEWADDR))).has_value());
}

TEST_CASE("routes: a route by way of the other family's gateway") {
  Message message(RTM_NEWROUTE);
  rtmsg header{};
  header.rtm_family = 2;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_type = RTN_UNICAST;
  header.rtm_dst_len = 24;
  message.put_struct(header);
  put_address(message, RTA_DST, address("10.244.2.0"));
  message.put_u32(RTA_OIF, 4);
  message.put_u32(RTA_PRIORITY, 100);
  std::vector<std::uint8_t> via{10, 0};  // AF_INET6 in host order
  const auto gateway = address("fe80::9");
  via.insert(via.end(), gateway.bytes.begin(), gateway.bytes.end());
  message.put(RTA_VIA, via);
  const auto routes = *decode_route(reply_of(message, RTM_NEWROUTE));
  REQUIRE(routes.size() == 1);
  CHECK(routes[0].destination.text() == "10.244.2.0/24");
  CHECK(routes[0].ifindex == 4);
  CHECK(routes[0].metric == 100);
  CHECK(routes[0].gateway == gateway);
}

TEST_CASE("routes: a multipath route is one for each hop; other tables and types are left out") {
  const auto make = [](std::uint8_t table, std::uint8_t type) {
    Message message(RTM_NEWROUTE);
    rtmsg header{};
    header.rtm_family = 2;
    header.rtm_table = table;
    header.rtm_type = type;
    message.put_struct(header);
    std::vector<std::uint8_t> hops;
    for (const std::uint8_t ifindex : {std::uint8_t{5}, std::uint8_t{6}}) {
      hops.insert(hops.end(), {16, 0, 0, 0, ifindex, 0, 0, 0, 8, 0, RTA_GATEWAY, 0, 10, 0, 0, ifindex});
    }
    message.put(RTA_MULTIPATH, hops);
    return *decode_route(reply_of(message, RTM_NEWROUTE));
  };
  const auto routes = make(RT_TABLE_MAIN, RTN_UNICAST);
  REQUIRE(routes.size() == 2);
  CHECK(routes[0].ifindex == 5);
  CHECK(routes[1].gateway->text() == "10.0.0.6");
  CHECK(default_route_device(routes, Family::kIpv4) == 5u);
  CHECK(make(RT_TABLE_LOCAL, RTN_UNICAST).empty());
  CHECK(make(RT_TABLE_MAIN, RTN_BLACKHOLE).empty());
}

TEST_CASE("routes: the default route with the smallest metric names the uplink, family by family") {
  const std::vector routes{route("10.0.0.0/8", 9, 0), route("0.0.0.0/0", 3, 200), route("0.0.0.0/0", 2, 100),
                           route("::/0", 4, 1024)};
  CHECK(default_route_device(routes, Family::kIpv4) == 2u);
  CHECK(default_route_device(routes, Family::kIpv6) == 4u);
  CHECK_FALSE(default_route_device({route("10.0.0.0/8", 9, 0)}, Family::kIpv4).has_value());
}

TEST_CASE("neighbours: usable when resolved and not failed") {
  struct Case {
    std::uint16_t state;
    bool with_mac, valid;
  };
  for (const auto& [state, with_mac, valid] :
       {Case{NUD_REACHABLE, true, true}, Case{NUD_STALE, true, true}, Case{NUD_PERMANENT, true, true},
        Case{NUD_FAILED, true, false}, Case{NUD_INCOMPLETE, false, false}, Case{NUD_PERMANENT, false, false}}) {
    CAPTURE(state);
    Message message(RTM_NEWNEIGH);
    ndmsg header{};
    header.ndm_family = 2;
    header.ndm_ifindex = 8;
    header.ndm_state = state;
    message.put_struct(header);
    put_address(message, NDA_DST, address("10.0.0.9"));
    if (with_mac) message.put(NDA_LLADDR, MacAddress{2, 0, 0, 0, 0, 1});
    const auto neighbour = **decode_neighbour(reply_of(message, RTM_NEWNEIGH));
    CHECK(neighbour.ifindex == 8);
    CHECK(neighbour.address.text() == "10.0.0.9");
    CHECK(neighbour.valid() == valid);
  }
}

TEST_CASE("tc: a bpf filter has name and program; an entry without a handle is none") {
  const auto make = [](std::uint32_t handle) {
    Message message(RTM_NEWTFILTER);
    tcmsg header{};
    header.tcm_handle = handle;
    header.tcm_info = 1u << 16 | 0x0300;
    message.put_struct(header);
    message.put_string(TCA_KIND, "bpf");
    {
      auto options = message.nest(TCA_OPTIONS);
      message.put_string(7, "uplink_egress");  // TCA_BPF_NAME
      message.put_u32(11, 42);                 // TCA_BPF_ID
    }
    return *decode_tc_filter(reply_of(message, RTM_NEWTFILTER), 5, TcDirection::kEgress);
  };
  CHECK(make(0x5ea7) == TcFilter{5, TcDirection::kEgress, "bpf", 1, 0x5ea7, 0, "uplink_egress", 42});
  CHECK_FALSE(make(0).has_value());
}
