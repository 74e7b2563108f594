// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <arpa/inet.h>

#include "loader/netlink/tc.hpp"
#include "sandbox.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

void add_clsact(Socket& socket, std::uint32_t ifindex) {
  Message message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(ifindex);
  header.tcm_parent = TC_H_CLSACT;
  header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0u);
  message.put_struct(header);
  message.put_string(TCA_KIND, "clsact");
  REQUIRE(socket.request(message));
}

// A classic BPF program that lets everything pass.
Result<> add_filter(Socket& socket, std::uint32_t ifindex, std::uint32_t minor, std::uint16_t priority) {
  Message message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL);
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(ifindex);
  header.tcm_parent = TC_H_MAKE(TC_H_CLSACT, minor);
  header.tcm_handle = 7;
  header.tcm_info = TC_H_MAKE(static_cast<std::uint32_t>(priority) << 16, std::uint32_t{htons(ETH_P_ALL)});
  message.put_struct(header);
  message.put_string(TCA_KIND, "bpf");
  auto options = message.nest(TCA_OPTIONS);
  const sock_filter pass{BPF_RET | BPF_K, 0, 0, 0};
  message.put_u16(TCA_BPF_OPS_LEN, 1);
  message.put(TCA_BPF_OPS, {reinterpret_cast<const std::uint8_t*>(&pass), sizeof pass});
  options.close();
  return socket.request(message);
}

}  // namespace

TEST_CASE("live tc: clsact goes only when nobody has a filter in it") {
  Sandbox sandbox;
  auto& route = sandbox.route();
  const std::uint32_t ifindex = sandbox.add_veth("eth0", "far").ifindex;
  CHECK_FALSE(*has_clsact(route, ifindex));
  CHECK(list_tc_filters(route, ifindex)->empty());
  CHECK(*delete_clsact_if_empty(route, ifindex));
  add_clsact(route, ifindex);
  CHECK(*has_clsact(route, ifindex));
  CHECK_FALSE(*has_clsact(route, (*find_link(route, "far"))->ifindex));

  const auto added = add_filter(route, ifindex, TC_H_MIN_EGRESS, 3);
  if (!added) return skip("live tc: filters", added.error().what());
  REQUIRE(add_filter(route, ifindex, TC_H_MIN_INGRESS, 2));
  const auto filters = *list_tc_filters(route, ifindex);
  REQUIRE(filters.size() == 2);
  CHECK(filters[0].direction == TcDirection::kIngress);
  CHECK(filters[0].priority == 2);
  CHECK(filters[1].direction == TcDirection::kEgress);
  CHECK(filters[1].priority == 3);
  CHECK(filters[1].handle == 7);
  CHECK(filters[1].kind == "bpf");

  CHECK_FALSE(*delete_clsact_if_empty(route, ifindex));
  for (const TcFilter& filter : filters) REQUIRE(delete_tc_filter(route, filter));
  CHECK(list_tc_filters(route, ifindex)->empty());
  CHECK(*delete_clsact_if_empty(route, ifindex));
  CHECK_FALSE(*has_clsact(route, ifindex));
}
