// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <cstring>

#include "loader/netlink/ipvs.hpp"
#include "loader/netlink/nftables.hpp"
#include "loader/netlink/xtables.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

constexpr std::uint16_t type_of(int message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

NftBaseChain chain(std::uint8_t family, std::uint32_t hook, std::uint32_t rules, bool drop = false) {
  NftBaseChain out;
  out.family = family;
  out.table = "t";
  out.name = "c";
  out.hook = hook;
  out.rules = rules;
  out.policy_drop = drop;
  return out;
}

// Sizes of ipt_entry and ip6t_entry, and of a standard target.
struct Layout {
  Family family;
  std::size_t entry, target_offset_at;
};
constexpr Layout kLayouts[] = {{Family::kIpv4, 112, 88}, {Family::kIpv6, 168, 140}};
constexpr std::size_t kTarget = 40;

void add_entry(std::vector<std::uint8_t>& entries, const Layout& layout, int verdict) {
  const std::size_t at = entries.size();
  entries.resize(at + layout.entry + kTarget, 0);
  const auto target = static_cast<std::uint16_t>(layout.entry);
  const auto next = static_cast<std::uint16_t>(layout.entry + kTarget);
  std::memcpy(&entries[at + layout.target_offset_at], &target, 2);
  std::memcpy(&entries[at + layout.target_offset_at + 2], &next, 2);
  std::memcpy(&entries[at + layout.entry + 32], &verdict, 4);
}

struct XTable {
  XtablesInfo info;
  std::vector<std::uint8_t> entries;
};

// INPUT with one rule, FORWARD with `rules` and a policy.
XTable filter_table(const Layout& layout, int rules, int policy) {
  XTable table;
  table.info.valid_hooks = 1u << NF_INET_LOCAL_IN | 1u << NF_INET_FORWARD;
  add_entry(table.entries, layout, -2);
  table.info.underflow[NF_INET_LOCAL_IN] = static_cast<std::uint32_t>(table.entries.size());
  add_entry(table.entries, layout, -1);
  table.info.hook_entry[NF_INET_FORWARD] = static_cast<std::uint32_t>(table.entries.size());
  for (int i = 0; i < rules; ++i) add_entry(table.entries, layout, -2);
  table.info.underflow[NF_INET_FORWARD] = static_cast<std::uint32_t>(table.entries.size());
  add_entry(table.entries, layout, policy);
  return table;
}

}  // namespace

TEST_CASE("nftables: a base chain is read with hook, policy, rules and devices") {
  Message message(type_of(NFT_MSG_NEWCHAIN));
  message.put_struct(nfgenmsg{NFPROTO_NETDEV, NFNETLINK_V0, 0});
  message.put_string(NFTA_CHAIN_TABLE, "fence");
  message.put_string(NFTA_CHAIN_NAME, "in");
  message.put_string(NFTA_CHAIN_TYPE, "filter");
  message.put_u32(NFTA_CHAIN_USE, htonl(3));
  message.put_u32(NFTA_CHAIN_POLICY, htonl(NF_DROP));
  {
    auto hook = message.nest(NFTA_CHAIN_HOOK);
    message.put_u32(NFTA_HOOK_HOOKNUM, htonl(NF_NETDEV_INGRESS));
    auto devices = message.nest(NFTA_HOOK_DEVS);
    message.put_string(NFTA_DEVICE_NAME, "lxc1");
    message.put_string(NFTA_DEVICE_NAME, "lxc2");
  }
  const Reply reply{type_of(NFT_MSG_NEWCHAIN), message.bytes().subspan(sizeof(nlmsghdr))};
  const auto decoded = **decode_nft_chain(reply);
  CHECK(decoded.family == NFPROTO_NETDEV);
  CHECK(decoded.rules == 3);
  CHECK(decoded.policy_drop);
  CHECK(decoded.devices == std::vector<std::string>{"lxc1", "lxc2"});
  CHECK(judge_nft_chain(decoded)->text() == "nft table netdev fence chain in on lxc1, lxc2: 3 rules, policy drop");
}

TEST_CASE("nftables: a chain without a hook is no base chain, one without a number is an error") {
  Message plain(type_of(NFT_MSG_NEWCHAIN));
  plain.put_struct(nfgenmsg{NFPROTO_IPV4, NFNETLINK_V0, 0});
  plain.put_string(NFTA_CHAIN_NAME, "KUBE-SERVICES");
  CHECK_FALSE((*decode_nft_chain({type_of(NFT_MSG_NEWCHAIN), plain.bytes().subspan(16)})).has_value());
  {
    auto hook = plain.nest(NFTA_CHAIN_HOOK);
  }
  CHECK_FALSE(decode_nft_chain({type_of(NFT_MSG_NEWCHAIN), plain.bytes().subspan(16)}).has_value());
}

TEST_CASE("netfilter: what concerns forwarded packets, and what does not") {
  struct Case {
    const char* what;
    NftBaseChain chain;
    bool found;
  };
  auto dormant = chain(NFPROTO_IPV4, NF_INET_FORWARD, 2);
  dormant.dormant = true;
  const Case cases[] = {
      {"rules in FORWARD", chain(NFPROTO_IPV4, NF_INET_FORWARD, 1), true},
      {"rules in PREROUTING, IPv6", chain(NFPROTO_IPV6, NF_INET_PRE_ROUTING, 1), true},
      {"rules in POSTROUTING, inet", chain(NFPROTO_INET, NF_INET_POST_ROUTING, 1), true},
      {"policy drop without a rule", chain(NFPROTO_IPV4, NF_INET_FORWARD, 0, true), true},
      {"an empty chain", chain(NFPROTO_IPV4, NF_INET_FORWARD, 0), false},
      {"INPUT", chain(NFPROTO_INET, NF_INET_LOCAL_IN, 5, true), false},
      {"OUTPUT", chain(NFPROTO_IPV4, NF_INET_LOCAL_OUT, 5), false},
      {"inet ingress", chain(NFPROTO_INET, NF_INET_INGRESS, 1), true},
      {"a bridge's input", chain(NFPROTO_BRIDGE, NF_INET_LOCAL_IN, 1), true},
      {"ARP", chain(NFPROTO_ARP, 0, 1), false},
      {"a table that is switched off", dormant, false},
  };
  for (const auto& [what, given, found] : cases) {
    CAPTURE(what);
    CHECK(judge_nft_chain(given).has_value() == found);
  }
}

TEST_CASE("netfilter: findings say where and what, in one line") {
  FilterFinding finding{.system = FilterSystem::kNftables,
                        .family = "ip",
                        .table = "filter",
                        .chain = "FORWARD",
                        .rules = 2,
                        .policy_drop = false,
                        .devices = {}};
  CHECK(finding.text() == "nft table ip filter chain FORWARD: 2 rules");
  finding.system = FilterSystem::kIptables;
  finding.rules = 1;
  CHECK(finding.text() == "iptables table filter chain FORWARD: 1 rule");
  finding.rules = 0;
  finding.policy_drop = true;
  CHECK(finding.text() == "iptables table filter chain FORWARD: policy drop");
  finding = {};
  finding.system = FilterSystem::kIpvs;
  finding.rules = 4;
  CHECK(finding.text() == "IPVS: 4 services");
}

TEST_CASE("xtables: rules and policy of FORWARD, both families; INPUT does not count") {
  for (const auto& layout : kLayouts) {
    CAPTURE(static_cast<int>(layout.family));
    const auto quiet = filter_table(layout, 0, -2);
    CHECK(judge_xtable(layout.family, "filter", quiet.info, quiet.entries)->empty());
    const auto busy = filter_table(layout, 3, -1);
    const auto findings = judge_xtable(layout.family, "filter", busy.info, busy.entries);
    REQUIRE(findings);
    REQUIRE(findings->size() == 1);
    CHECK(findings->front().chain == "FORWARD");
    CHECK(findings->front().rules == 3);
    CHECK(findings->front().policy_drop);
  }
}

TEST_CASE("xtables: entries that are cut or do not meet the policy are an error") {
  for (const auto& layout : kLayouts) {
    const auto table = filter_table(layout, 2, -2);
    for (std::size_t size = 0; size + 4 < table.entries.size(); size += 8) {
      CAPTURE(size);
      const std::vector<std::uint8_t> cut(table.entries.begin(),
                                          table.entries.begin() + static_cast<std::ptrdiff_t>(size));
      CHECK_FALSE(judge_xtable(layout.family, "filter", table.info, cut).has_value());
    }
    auto info = table.info;
    info.underflow[NF_INET_FORWARD] += 8;
    CHECK_FALSE(judge_xtable(layout.family, "filter", info, table.entries).has_value());
    info.underflow[NF_INET_FORWARD] = 0xffffffff;
    CHECK_FALSE(judge_xtable(layout.family, "filter", info, table.entries).has_value());
  }
}

TEST_CASE("ipvs: services are counted, their servers are not") {
  CHECK(count_ipvs_services({"IP Virtual Server version 1.2.1 (size=4096)", "Prot LocalAddress:Port Scheduler Flags",
                             "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn", "TCP  0A600001:01BB rr ",
                             "  -> AC120002:192B      Masq    1      0          0", "UDP  0A60000A:0035 rr "}) == 2);
  CHECK(count_ipvs_services({}) == 0);
}
