// SPDX-License-Identifier: Apache-2.0
#include "sandbox.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "loader/netlink/wire_address.hpp"

namespace sheath::netlink {
namespace {

Socket open_in_new_namespace() {
  REQUIRE_MESSAGE(unshare(CLONE_NEWNET) == 0, "needs root");
  auto socket = Socket::open(NETLINK_ROUTE);
  REQUIRE(socket);
  return std::move(*socket);
}

void send(Socket& socket, Message& message) {
  const auto done = socket.request(message);
  REQUIRE_MESSAGE(done, (done ? "" : done.error().what()));
}

std::uint8_t family_byte(const IpAddress& address) {
  return static_cast<std::uint8_t>(address_family(address.family));
}

}  // namespace

Sandbox::Sandbox() : route_(open_in_new_namespace()) {}

Link Sandbox::add_veth(const std::string& name, const std::string& peer, int peer_namespace) {
  NewLink link;
  link.name = name;
  link.kind = "veth";
  link.put_data = [&](Message& message) {
    auto nest = message.nest(VETH_INFO_PEER);
    message.put_struct(ifinfomsg{});
    message.put_string(IFLA_IFNAME, peer);
    message.put(IFLA_ADDRESS, MacAddress{2, 0, 0, 0, 0, 0xaa});
    if (peer_namespace >= 0) message.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(peer_namespace));
  };
  const auto ifindex = create_link(route_, link);
  REQUIRE_MESSAGE(ifindex, (ifindex ? "" : ifindex.error().what()));
  return **find_link(route_, *ifindex);
}

void Sandbox::add_address(std::uint32_t ifindex, const Cidr& network, const IpAddress& address) {
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  ifaddrmsg header{};
  header.ifa_family = family_byte(address);
  header.ifa_prefixlen = network.length;
  header.ifa_index = ifindex;
  message.put_struct(header);
  message.put(IFA_LOCAL, address_bytes(address));
  message.put(IFA_ADDRESS, address_bytes(address));
  message.put_u32(IFA_FLAGS, IFA_F_NODAD);
  send(route_, message);
}

void Sandbox::add_route(const Cidr& to, std::uint32_t ifindex, const IpAddress& gateway, std::uint32_t metric) {
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
  rtmsg header{};
  header.rtm_family = family_byte(gateway);
  header.rtm_dst_len = to.length;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_type = RTN_UNICAST;
  message.put_struct(header);
  if (to.length > 0) message.put(RTA_DST, address_bytes(to.address));
  message.put(RTA_GATEWAY, address_bytes(gateway));
  message.put_u32(RTA_OIF, ifindex);
  message.put_u32(RTA_PRIORITY, metric);
  send(route_, message);
}

void Sandbox::add_neighbour(std::uint32_t ifindex, const IpAddress& address, const MacAddress& mac) {
  Message message(RTM_NEWNEIGH, NLM_F_CREATE);
  ndmsg header{};
  header.ndm_family = family_byte(address);
  header.ndm_ifindex = static_cast<int>(ifindex);
  header.ndm_state = NUD_PERMANENT;
  message.put_struct(header);
  message.put(NDA_DST, address_bytes(address));
  message.put(NDA_LLADDR, mac);
  send(route_, message);
}

void Sandbox::wait_until_running(std::uint32_t ifindex) {
  ifinfomsg device{};
  for (int i = 0; i < 1000 && (device.ifi_flags & IFF_RUNNING) == 0; ++i) {
    if (i > 0) usleep(10000);
    Message message(RTM_GETLINK);
    ifinfomsg header{};
    header.ifi_index = static_cast<int>(ifindex);
    message.put_struct(header);
    const auto done = route_.request(message, [&](const Reply& reply) -> Result<> {
      if (reply.payload.size() < sizeof device) return fail("a link's answer is too short");
      std::memcpy(&device, reply.payload.data(), sizeof device);
      return {};
    });
    REQUIRE_MESSAGE(done, (done ? "" : done.error().what()));
  }
  REQUIRE((device.ifi_flags & IFF_RUNNING) != 0);
}

UniqueFd current_namespace() {
  UniqueFd fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  REQUIRE(fd);
  return fd;
}

void skip(const std::string& name, const std::string& why) {
  std::printf("ok - %s # SKIP %s\n", name.c_str(), why.c_str());
}

}  // namespace sheath::netlink
