// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/backstop.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>

#include <endian.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/nftables.hpp"

namespace sheath::netlink {
namespace {

// Behind all translation, and before any: source NAT is at 100, connection tracking at -200 (netfilter_ipv4.h).
constexpr std::uint32_t kAfterNat = 350;
constexpr auto kBeforeNat = static_cast<std::uint32_t>(-350);

constexpr std::uint32_t kIpv4Source = 12, kIpv4Destination = 16;  // offsets in the header, RFC 791
constexpr std::uint32_t kIpv6Source = 8, kIpv6Destination = 24;   // RFC 8200

constexpr std::uint16_t type_of(int message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

// What the table's user data hold.
struct Tag {
  std::uint64_t digest = 0;
  std::uint32_t rules = 0;
};
constexpr std::size_t kTagSize = sizeof(Tag::digest) + sizeof(Tag::rules);

// nf_tables takes its numbers in network order.
void put_big(Message& message, int type, std::uint32_t value) {
  message.put_u32(type, htonl(value));
}

Message start(int type, std::uint16_t flags = 0) {
  Message message(type_of(type), flags);
  message.put_struct(nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
  return message;
}

Message about_table(int type, std::uint16_t flags = 0) {
  Message message = start(type, flags);
  message.put_string(NFTA_TABLE_NAME, kBackstopTable);
  return message;
}

void put_value(Message& message, int type, Bytes value) {
  const auto nest = message.nest(type);
  message.put(NFTA_DATA_VALUE, value);
}

// The rule under construction: conditions, then what to do with what meets them all.
class Rule {
 public:
  explicit Rule(const char* chain) : message_(start(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND)) {
    message_.put_string(NFTA_RULE_TABLE, kBackstopTable);
    message_.put_string(NFTA_RULE_CHAIN, chain);
    expressions_.emplace(message_.nest(NFTA_RULE_EXPRESSIONS));
  }

  Rule& device(std::uint32_t key, const std::string& name) {
    std::array<std::uint8_t, IFNAMSIZ> padded{};
    std::memcpy(padded.data(), name.data(), std::min(name.size(), padded.size() - 1));
    meta(key);
    return compare(padded);
  }

  Rule& device(std::uint32_t key, std::uint32_t ifindex) {
    meta(key);
    return compare({reinterpret_cast<const std::uint8_t*>(&ifindex), sizeof ifindex});  // in host order
  }

  // The address at the offset that its family has for it.
  Rule& address(std::uint32_t offset4, std::uint32_t offset6, const Cidr& cidr) {
    const bool is_ipv4 = cidr.address.family == Family::kIpv4;
    const std::uint8_t family = is_ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    meta(NFT_META_NFPROTO);
    compare({&family, 1});
    const auto size = static_cast<std::uint32_t>(cidr.address.size());
    add("payload", [&] {
      put_big(message_, NFTA_PAYLOAD_DREG, NFT_REG_1);
      put_big(message_, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
      put_big(message_, NFTA_PAYLOAD_OFFSET, is_ipv4 ? offset4 : offset6);
      put_big(message_, NFTA_PAYLOAD_LEN, size);
    });
    mask(size, cidr.length);
    return compare({cidr.address.bytes.data(), size});
  }
  Rule& from(const Cidr& cidr) { return address(kIpv4Source, kIpv6Source, cidr); }
  Rule& to(const Cidr& cidr) { return address(kIpv4Destination, kIpv6Destination, cidr); }

  Rule& count() {
    add("counter", [] {});
    return *this;
  }

  Message verdict(std::int32_t code, const char* chain = nullptr) {
    add("immediate", [&] {
      put_big(message_, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      const auto data = message_.nest(NFTA_IMMEDIATE_DATA);
      const auto verdict = message_.nest(NFTA_DATA_VERDICT);
      put_big(message_, NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
      if (chain != nullptr) message_.put_string(NFTA_VERDICT_CHAIN, chain);
    });
    expressions_.reset();
    return std::move(message_);
  }

 private:
  template <typename PutData>
  void add(const char* name, PutData put_data) {
    const auto element = message_.nest(NFTA_LIST_ELEM);
    message_.put_string(NFTA_EXPR_NAME, name);
    const auto data = message_.nest(NFTA_EXPR_DATA);
    put_data();
  }

  void meta(std::uint32_t key) {
    add("meta", [&] {
      put_big(message_, NFTA_META_KEY, key);
      put_big(message_, NFTA_META_DREG, NFT_REG_1);
    });
  }

  Rule& compare(Bytes value) {
    add("cmp", [&] {
      put_big(message_, NFTA_CMP_SREG, NFT_REG_1);
      put_big(message_, NFTA_CMP_OP, NFT_CMP_EQ);
      put_value(message_, NFTA_CMP_DATA, value);
    });
    return *this;
  }

  void mask(std::uint32_t size, std::uint8_t length) {
    std::array<std::uint8_t, 16> ones{}, zeros{};
    for (std::size_t bit = 0; bit < length; ++bit) ones[bit / 8] |= static_cast<std::uint8_t>(0x80U >> bit % 8);
    add("bitwise", [&] {
      put_big(message_, NFTA_BITWISE_SREG, NFT_REG_1);
      put_big(message_, NFTA_BITWISE_DREG, NFT_REG_1);
      put_big(message_, NFTA_BITWISE_LEN, size);
      put_value(message_, NFTA_BITWISE_MASK, {ones.data(), size});
      put_value(message_, NFTA_BITWISE_XOR, {zeros.data(), size});
    });
  }

  Message message_;
  std::optional<Message::Nest> expressions_;
};

Message chain(const char* name) {
  Message message = start(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
  message.put_string(NFTA_CHAIN_TABLE, kBackstopTable);
  message.put_string(NFTA_CHAIN_NAME, name);
  return message;
}

Message base_chain(const char* name, std::uint32_t hook, std::uint32_t priority) {
  Message message = chain(name);
  message.put_string(NFTA_CHAIN_TYPE, "filter");
  const auto nest = message.nest(NFTA_CHAIN_HOOK);
  put_big(message, NFTA_HOOK_HOOKNUM, hook);
  put_big(message, NFTA_HOOK_PRIORITY, priority);
  return message;
}

// leaving: watched devices pass; a pod's packets go to `to_pods`, where those for pods elsewhere end.
// arriving: the same the other way round.
std::vector<Message> encode_rules(const BackstopRules& rules) {
  std::vector<Message> out;
  for (const auto ifindex : rules.watched) {
    out.push_back(Rule("leaving").device(NFT_META_OIF, ifindex).verdict(NF_ACCEPT));
    out.push_back(Rule("arriving").device(NFT_META_IIF, ifindex).verdict(NF_ACCEPT));
  }
  for (const auto& name : rules.own) {
    out.push_back(Rule("leaving").device(NFT_META_OIFNAME, name).verdict(NF_ACCEPT));
    out.push_back(Rule("arriving").device(NFT_META_IIFNAME, name).verdict(NF_ACCEPT));
  }
  for (const auto& cidr : rules.local) {
    out.push_back(Rule("leaving").to(cidr).verdict(NF_ACCEPT));
    out.push_back(Rule("arriving").from(cidr).verdict(NF_ACCEPT));
  }
  for (const auto& cidr : rules.cluster) {
    out.push_back(Rule("leaving").from(cidr).verdict(NFT_GOTO, "to_pods"));
    out.push_back(Rule("arriving").from(cidr).verdict(NFT_GOTO, "to_pods"));
    out.push_back(Rule("to_pods").to(cidr).count().verdict(rules.drops ? NF_DROP : NF_ACCEPT));
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
  Message message = start(NFT_MSG_GETRULE);
  message.put_string(NFTA_RULE_TABLE, kBackstopTable);
  Rules out;
  const auto done = socket.dump(
      message, [&] { out = {}; },
      [&](const Reply& reply) -> Result<> {
        if (reply.type != type_of(NFT_MSG_NEWRULE)) return {};
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
  out.push_back(base_chain("leaving", NF_INET_POST_ROUTING, kAfterNat));
  out.push_back(base_chain("arriving", NF_INET_PRE_ROUTING, kBeforeNat));
  out.push_back(chain("to_pods"));
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
