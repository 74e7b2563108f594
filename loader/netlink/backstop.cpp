// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/backstop.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <endian.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <vector>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/nft_encode.hpp"
#include "loader/netlink/nftables.hpp"

namespace sheath::netlink {
namespace {

// Behind all translation, and before any: source NAT is at 100, connection tracking at -200 (netfilter_ipv4.h).
constexpr std::int32_t kAfterNat = 350, kBeforeNat = -350;

constexpr const char* kLoopback = "lo";

// What the table's user data hold.
struct Tag {
  std::uint64_t digest = 0;
  std::uint32_t rules = 0;
};
constexpr std::size_t kTagSize = sizeof(Tag::digest) + sizeof(Tag::rules);

Message about_table(int type, std::uint16_t flags = 0) {
  Message message = nft::start(type, flags);
  message.put_string(NFTA_TABLE_NAME, kBackstopTable);
  return message;
}

nft::Rule rule(const char* chain) {
  return {kBackstopTable, chain};
}

constexpr std::array kFamilies{Family::kIpv4, Family::kIpv6};

std::vector<Message> encode_sets(const NodeRules& nodes) {
  std::vector<Message> out;
  std::uint32_t number = 0;
  const auto add = [&out](std::vector<Message> set) { std::ranges::move(set, std::back_inserter(out)); };
  for (const auto family : kFamilies) {
    add(nft::addresses(kBackstopTable, "peers", family, ++number, nodes.peers));
    add(nft::prefixes(kBackstopTable, "pods", family, ++number, nodes.pods));
  }
  return out;
}

// What this node sends to peers and their pods, and what they send to it and to its pods. Ends in `node_leaving` and
// `node_arriving`, where ciphertext and neighbour discovery pass.
void add_node_rules(const BackstopRules& rules, std::vector<Message>& out) {
  const auto& nodes = rules.nodes;
  for (const auto& address : nodes.own) {
    const auto own = Cidr::host(address);
    out.push_back(rule("leaving").from(own).to_any_of("peers", address.family).verdict(NFT_GOTO, "node_leaving"));
    out.push_back(rule("leaving").from(own).to_any_of("pods", address.family).verdict(NFT_GOTO, "node_leaving"));
    out.push_back(rule("arriving").to(own).from_any_of("peers", address.family).verdict(NFT_GOTO, "node_arriving"));
    out.push_back(rule("arriving").to(own).from_any_of("pods", address.family).verdict(NFT_GOTO, "node_arriving"));
  }
  for (const auto& cidr : rules.local) {
    out.push_back(rule("leaving").from(cidr).to_any_of("peers", cidr.address.family).verdict(NFT_GOTO, "node_leaving"));
    out.push_back(
        rule("arriving").to(cidr).from_any_of("peers", cidr.address.family).verdict(NFT_GOTO, "node_arriving"));
  }
  out.push_back(rule("node_leaving").mark(nodes.outer_mark).verdict(NF_ACCEPT));
  if (nodes.wireguard_port == 0) {
    out.push_back(rule("node_arriving").protocol(IPPROTO_ESP).verdict(NF_ACCEPT));
  } else {
    out.push_back(rule("node_arriving")
                      .protocol(IPPROTO_UDP)
                      .source_port(nodes.wireguard_port)
                      .destination_port(nodes.wireguard_port)
                      .verdict(NF_ACCEPT));
  }
  if (nodes.vxlan_port != 0) {
    out.push_back(rule("node_arriving").protocol(IPPROTO_UDP).destination_port(nodes.vxlan_port).verdict(NF_ACCEPT));
  }
  for (const auto* name : {"node_leaving", "node_arriving"}) {
    out.push_back(rule(name).neighbour_discovery().verdict(NF_ACCEPT));
    out.push_back(rule(name).count().verdict(rules.drops ? NF_DROP : NF_ACCEPT));
  }
}

// What passes, in the order in which a pod's packets meet it soonest: each rule before costs each packet.
void add_passes(const BackstopRules& rules, std::vector<Message>& out) {
  for (const auto ifindex : rules.watched) {
    out.push_back(rule("leaving").device(NFT_META_OIF, ifindex).verdict(NF_ACCEPT));
    out.push_back(rule("arriving").device(NFT_META_IIF, ifindex).verdict(NF_ACCEPT));
  }
  for (const auto& name : rules.own) out.push_back(rule("arriving").device(NFT_META_IIFNAME, name).verdict(NF_ACCEPT));
  for (const auto& cidr : rules.local) {
    out.push_back(rule("leaving").to(cidr).verdict(NF_ACCEPT));
    out.push_back(rule("arriving").from(cidr).verdict(NF_ACCEPT));
  }
  for (const auto& name : rules.own) out.push_back(rule("leaving").device(NFT_META_OIFNAME, name).verdict(NF_ACCEPT));
  out.push_back(rule("leaving").device(NFT_META_OIFNAME, kLoopback).verdict(NF_ACCEPT));
  out.push_back(rule("arriving").device(NFT_META_IIFNAME, kLoopback).verdict(NF_ACCEPT));
  if (rules.xfrm_encrypts) out.push_back(rule("leaving").to_be_encrypted_by_xfrm().verdict(NF_ACCEPT));
}

// leaving: watched devices pass; a pod's packets go to `to_pods`, where those for pods elsewhere end.
// arriving: the same the other way round.
std::vector<Message> encode_rules(const BackstopRules& rules) {
  std::vector<Message> out;
  add_passes(rules, out);
  if (!rules.nodes.peers.empty()) add_node_rules(rules, out);
  for (const auto& cidr : rules.cluster) {
    out.push_back(rule("leaving").from(cidr).verdict(NFT_GOTO, "to_pods"));
    out.push_back(rule("arriving").from(cidr).verdict(NFT_GOTO, "to_pods"));
    out.push_back(rule("to_pods").to(cidr).count().verdict(rules.drops ? NF_DROP : NF_ACCEPT));
  }
  return out;
}

Message tagged_table(const Tag& tag) {
  Message message = about_table(NFT_MSG_NEWTABLE, NLM_F_CREATE);
  std::array<std::uint8_t, kTagSize> bytes{};
  std::memcpy(bytes.data(), &tag.digest, sizeof tag.digest);
  std::memcpy(bytes.data() + sizeof tag.digest, &tag.rules, sizeof tag.rules);
  message.put(NFTA_TABLE_USERDATA, bytes);
  return message;
}

std::optional<Tag> tag_of(Bytes user_data) {
  if (user_data.size() != kTagSize) return std::nullopt;
  Tag tag;
  std::memcpy(&tag.digest, user_data.data(), sizeof tag.digest);
  std::memcpy(&tag.rules, user_data.data() + sizeof tag.digest, sizeof tag.rules);
  return tag;
}

// What the rule's counter has counted; 0 without one.
Result<std::uint64_t> counted(const Attributes& rule) {
  const auto expressions = rule.nested(NFTA_RULE_EXPRESSIONS);
  if (!expressions) return fail(expressions.error());
  std::uint64_t packets = 0;
  for (const Attribute& item : expressions->all()) {
    const auto expression = Attributes::parse(item.value);
    if (!expression) return fail(expression.error());
    if (expression->string(NFTA_EXPR_NAME) != "counter") continue;
    const auto data = expression->nested(NFTA_EXPR_DATA);
    if (!data) return fail(data.error());
    packets += be64toh(data->value<std::uint64_t>(NFTA_COUNTER_PACKETS).value_or(0));
  }
  return packets;
}

struct Rules {
  std::uint32_t number = 0;
  std::uint64_t packets = 0;
};

Result<Rules> read_rules(Socket& socket) {
  Message message = nft::start(NFT_MSG_GETRULE);
  message.put_string(NFTA_RULE_TABLE, kBackstopTable);
  Rules out;
  const auto done = socket.dump(
      message, [&] { out = {}; },
      [&](const Reply& reply) -> Result<> {
        if (reply.type != nft::type_of(NFT_MSG_NEWRULE)) return {};
        const auto rule = parse_message<nfgenmsg>(reply.payload);
        if (!rule) return fail(rule.error());
        if (rule->attributes.string(NFTA_RULE_TABLE) != kBackstopTable) return {};
        const auto packets = counted(rule->attributes);
        if (!packets) return fail(packets.error());
        out.number += 1;
        out.packets += *packets;
        return {};
      });
  if (!done) return fail(Error(done.error()).context("list the rules of nft table inet sheath"));
  return out;
}

}  // namespace

std::vector<Message> encode_backstop(const BackstopRules& rules, std::uint64_t digest) {
  auto encoded = encode_rules(rules);
  std::vector<Message> out;
  // A table has to be there to be deleted.
  out.push_back(about_table(NFT_MSG_NEWTABLE, NLM_F_CREATE));
  out.push_back(about_table(NFT_MSG_DELTABLE));
  out.push_back(tagged_table({digest, static_cast<std::uint32_t>(encoded.size())}));
  out.push_back(nft::base_chain(kBackstopTable, "leaving", NF_INET_POST_ROUTING, kAfterNat));
  out.push_back(nft::base_chain(kBackstopTable, "arriving", NF_INET_PRE_ROUTING, kBeforeNat));
  out.push_back(nft::chain(kBackstopTable, "to_pods"));
  if (!rules.nodes.peers.empty()) {
    for (const auto* name : {"node_leaving", "node_arriving"}) out.push_back(nft::chain(kBackstopTable, name));
    for (auto& message : encode_sets(rules.nodes)) out.push_back(std::move(message));
  }
  for (auto& rule : encoded) out.push_back(std::move(rule));
  return out;
}

Result<std::optional<BackstopReport>> find_backstop() {
  const auto unloaded = nf_tables_is_unloaded_module();
  if (!unloaded) return fail(unloaded.error());
  if (*unloaded) return std::nullopt;
  auto socket = Socket::open(NETLINK_NETFILTER);
  if (!socket && socket.error().error_number() == EPROTONOSUPPORT) return std::nullopt;
  if (!socket) return fail(std::move(socket.error()));
  const auto tables = list_nft_tables(*socket);
  if (!tables) return fail(tables.error());
  for (const auto& table : *tables) {
    if (table.family != NFPROTO_INET || table.name != kBackstopTable) continue;
    const auto rules = read_rules(*socket);
    if (!rules) return fail(rules.error());
    const auto tag = tag_of(table.user_data);
    BackstopReport report;
    report.packets = rules->packets;
    if (!tag) return report;
    report.digest = tag->digest;
    report.intact = tag->rules == rules->number && !table.dormant;
    return report;
  }
  return std::nullopt;
}

Result<> replace_backstop(const BackstopRules& rules, std::uint64_t digest) {
  auto socket = Socket::open(NETLINK_NETFILTER);
  if (!socket) return fail(std::move(socket.error()));
  auto messages = encode_backstop(rules, digest);
  if (auto done = socket->transaction(messages, NFNL_SUBSYS_NFTABLES); !done)
    return fail(std::move(done.error()).context("write nft table inet sheath"));
  return {};
}

Result<> remove_backstop() {
  auto socket = Socket::open(NETLINK_NETFILTER);
  if (!socket) return fail(std::move(socket.error()));
  std::vector<Message> messages;
  messages.push_back(about_table(NFT_MSG_DELTABLE));
  auto done = socket->transaction(messages, NFNL_SUBSYS_NFTABLES);
  if (!done && done.error().error_number() != ENOENT)
    return fail(std::move(done.error()).context("delete nft table inet sheath"));
  return {};
}

}  // namespace sheath::netlink
