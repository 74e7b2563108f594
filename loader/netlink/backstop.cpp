// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/backstop.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>

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

// Where a field is in its header.
struct Field {
  std::uint32_t base;
  std::uint32_t offset;
  std::uint32_t size;
};
constexpr Field kIpv4Source{NFT_PAYLOAD_NETWORK_HEADER, 12, 4},
    kIpv4Destination{NFT_PAYLOAD_NETWORK_HEADER, 16, 4};  // RFC 791
constexpr Field kIpv6Source{NFT_PAYLOAD_NETWORK_HEADER, 8, 16},
    kIpv6Destination{NFT_PAYLOAD_NETWORK_HEADER, 24, 16};  // RFC 8200
constexpr Field kHopLimit{NFT_PAYLOAD_NETWORK_HEADER, 7, 1};
constexpr Field kSourcePort{NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2}, kDestinationPort{NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2};
constexpr Field kIcmpType{NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1};

// RFC 4861: neighbour discovery is 133 to 137, and comes with this hop limit.
constexpr std::uint8_t kFirstOfDiscovery = 133, kLastOfDiscovery = 137, kHopLimitOfDiscovery = 255;

// An element of a set takes up to 48 bytes, and an attribute 64 KiB at most.
constexpr std::size_t kElementsInMessage = 1000;
constexpr std::size_t kElementsCapacity = 60000;

// What `nft` shows the keys of a set as: its own numbers (nftables, include/datatype.h).
constexpr std::uint32_t kShownAsIpv4 = 7, kShownAsIpv6 = 8;

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

std::string set_name(const char* what, Family family) {
  return std::string(what) + (family == Family::kIpv4 ? "4" : "6");
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

  Rule& from(const Cidr& cidr) { return within(source(cidr.address.family), cidr); }
  Rule& to(const Cidr& cidr) { return within(destination(cidr.address.family), cidr); }
  Rule& from_any_of(const char* set, Family family) { return any_of(set, family, source(family)); }
  Rule& to_any_of(const char* set, Family family) { return any_of(set, family, destination(family)); }

  Rule& mark(std::uint32_t value) {
    meta(NFT_META_MARK);
    return compare({reinterpret_cast<const std::uint8_t*>(&value), sizeof value});  // in host order
  }

  Rule& protocol(std::uint8_t value) {
    meta(NFT_META_L4PROTO);
    return compare({&value, 1});
  }

  Rule& port(const Field& field, std::uint16_t value) {
    load(field);
    const std::uint16_t big = htons(value);
    return compare({reinterpret_cast<const std::uint8_t*>(&big), sizeof big});
  }

  // xfrm takes it: seen here on its way into ESP, it leaves as ESP (xfrm4_output, net/ipv4/xfrm4_output.c).
  Rule& to_be_encrypted_by_xfrm() {
    const std::uint8_t yes = 1;
    add("rt", [&] {
      put_big(message_, NFTA_RT_KEY, NFT_RT_XFRM);
      put_big(message_, NFTA_RT_DREG, NFT_REG_1);
    });
    return compare({&yes, 1});
  }

  Rule& neighbour_discovery() {
    protocol(IPPROTO_ICMPV6);
    load(kHopLimit);
    compare({&kHopLimitOfDiscovery, 1});
    load(kIcmpType);
    compare({&kFirstOfDiscovery, 1}, NFT_CMP_GTE);
    return compare({&kLastOfDiscovery, 1}, NFT_CMP_LTE);
  }

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

  Rule& compare(Bytes value, std::uint32_t how = NFT_CMP_EQ) {
    add("cmp", [&] {
      put_big(message_, NFTA_CMP_SREG, NFT_REG_1);
      put_big(message_, NFTA_CMP_OP, how);
      put_value(message_, NFTA_CMP_DATA, value);
    });
    return *this;
  }

  static const Field& source(Family family) { return family == Family::kIpv4 ? kIpv4Source : kIpv6Source; }
  static const Field& destination(Family family) {
    return family == Family::kIpv4 ? kIpv4Destination : kIpv6Destination;
  }

  void family(Family family) {
    const std::uint8_t number = family == Family::kIpv4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    meta(NFT_META_NFPROTO);
    compare({&number, 1});
  }

  void load(const Field& field) {
    add("payload", [&] {
      put_big(message_, NFTA_PAYLOAD_DREG, NFT_REG_1);
      put_big(message_, NFTA_PAYLOAD_BASE, field.base);
      put_big(message_, NFTA_PAYLOAD_OFFSET, field.offset);
      put_big(message_, NFTA_PAYLOAD_LEN, field.size);
    });
  }

  Rule& within(const Field& field, const Cidr& cidr) {
    family(cidr.address.family);
    load(field);
    mask(field.size, cidr.length);
    return compare({cidr.address.bytes.data(), field.size});
  }

  Rule& any_of(const char* set, Family of, const Field& field) {
    family(of);
    load(field);
    add("lookup", [&] {
      message_.put_string(NFTA_LOOKUP_SET, set_name(set, of));
      put_big(message_, NFTA_LOOKUP_SREG, NFT_REG_1);
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

// The range from an address to the one before `end`; without end up to the last address there is.
struct Range {
  IpAddress first;
  std::optional<IpAddress> end;
};

// The address behind the last of the prefix; none behind the very last.
std::optional<IpAddress> behind(const Cidr& cidr) {
  IpAddress out = cidr.address;
  int carry = 1;
  for (std::size_t bit = cidr.length; carry != 0 && bit-- > 0;) {
    const auto one = static_cast<std::uint8_t>(0x80U >> bit % 8);
    carry = (out.bytes[bit / 8] & one) != 0 ? 1 : 0;
    out.bytes[bit / 8] ^= one;
  }
  if (carry != 0) return std::nullopt;
  return out;
}

// Of prefixes in order: what contains or follows one another is one range, as nf_tables wants it.
std::vector<Range> ranges_of(const std::set<Cidr>& cidrs, Family family) {
  std::vector<Range> out;
  for (const auto& cidr : cidrs) {
    if (cidr.address.family != family) continue;
    const auto end = behind(cidr);
    if (out.empty() || (out.back().end && *out.back().end < cidr.address)) {
      out.push_back({cidr.address, end});
    } else if (out.back().end && (!end || *out.back().end < *end)) {
      out.back().end = end;
    }
  }
  return out;
}

// A set and what is in it. It is constant: the kernel refuses to change its elements, so that who finds the table whole
// finds them whole.
class Set {
 public:
  Set(const char* what, Family family, std::uint32_t number, std::uint32_t flags)
      : name_(set_name(what, family)), size_(family == Family::kIpv4 ? 4 : 16) {
    Message message = start(NFT_MSG_NEWSET, NLM_F_CREATE);
    message.put_string(NFTA_SET_TABLE, kBackstopTable);
    message.put_string(NFTA_SET_NAME, name_);
    put_big(message, NFTA_SET_FLAGS, flags | NFT_SET_CONSTANT);
    put_big(message, NFTA_SET_KEY_TYPE, family == Family::kIpv4 ? kShownAsIpv4 : kShownAsIpv6);
    put_big(message, NFTA_SET_KEY_LEN, size_);
    put_big(message, NFTA_SET_ID, number);
    messages_.push_back(std::move(message));
  }

  void add(const IpAddress& address, std::uint32_t flags = 0) {
    if (elements_++ % kElementsInMessage == 0) open();
    Message& message = messages_.back();
    const auto element = message.nest(NFTA_LIST_ELEM);
    put_value(message, NFTA_SET_ELEM_KEY, {address.bytes.data(), size_});
    if (flags != 0) put_big(message, NFTA_SET_ELEM_FLAGS, flags);
  }

  std::vector<Message> finish() {
    list_.reset();
    return std::move(messages_);
  }

 private:
  void open() {
    list_.reset();
    auto& message = messages_.emplace_back(type_of(NFT_MSG_NEWSETELEM), NLM_F_CREATE, kElementsCapacity);
    message.put_struct(nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
    message.put_string(NFTA_SET_ELEM_LIST_TABLE, kBackstopTable);
    message.put_string(NFTA_SET_ELEM_LIST_SET, name_);
    list_.emplace(message.nest(NFTA_SET_ELEM_LIST_ELEMENTS));
  }

  std::string name_;
  std::uint32_t size_;
  std::size_t elements_ = 0;
  std::vector<Message> messages_;
  std::optional<Message::Nest> list_;
};

constexpr std::array kFamilies{Family::kIpv4, Family::kIpv6};

std::vector<Message> encode_sets(const NodeRules& nodes) {
  std::vector<Message> out;
  std::uint32_t number = 0;
  const auto take = [&out](Set& set) {
    for (auto& message : set.finish()) out.push_back(std::move(message));
  };
  for (const auto family : kFamilies) {
    Set peers("peers", family, ++number, 0);
    for (const auto& address : nodes.peers) {
      if (address.family == family) peers.add(address);
    }
    take(peers);
    Set pods("pods", family, ++number, NFT_SET_INTERVAL);
    for (const auto& range : ranges_of(nodes.pods, family)) {
      pods.add(range.first);
      if (range.end) pods.add(*range.end, NFT_SET_ELEM_INTERVAL_END);
    }
    take(pods);
  }
  return out;
}

// What this node sends to peers and their pods, and what they send to it and to its pods. Ends in `node_leaving` and
// `node_arriving`, where ciphertext and neighbour discovery pass.
void add_node_rules(const BackstopRules& rules, std::vector<Message>& out) {
  const auto& nodes = rules.nodes;
  for (const auto& address : nodes.own) {
    const auto own = Cidr::host(address);
    out.push_back(Rule("leaving").from(own).to_any_of("peers", address.family).verdict(NFT_GOTO, "node_leaving"));
    out.push_back(Rule("leaving").from(own).to_any_of("pods", address.family).verdict(NFT_GOTO, "node_leaving"));
    out.push_back(Rule("arriving").to(own).from_any_of("peers", address.family).verdict(NFT_GOTO, "node_arriving"));
    out.push_back(Rule("arriving").to(own).from_any_of("pods", address.family).verdict(NFT_GOTO, "node_arriving"));
  }
  for (const auto& cidr : rules.local) {
    out.push_back(Rule("leaving").from(cidr).to_any_of("peers", cidr.address.family).verdict(NFT_GOTO, "node_leaving"));
    out.push_back(
        Rule("arriving").to(cidr).from_any_of("peers", cidr.address.family).verdict(NFT_GOTO, "node_arriving"));
  }
  out.push_back(Rule("node_leaving").mark(nodes.outer_mark).verdict(NF_ACCEPT));
  if (nodes.wireguard_port == 0) {
    out.push_back(Rule("node_arriving").protocol(IPPROTO_ESP).verdict(NF_ACCEPT));
  } else {
    out.push_back(Rule("node_arriving")
                      .protocol(IPPROTO_UDP)
                      .port(kSourcePort, nodes.wireguard_port)
                      .port(kDestinationPort, nodes.wireguard_port)
                      .verdict(NF_ACCEPT));
  }
  if (nodes.vxlan_port != 0) {
    out.push_back(
        Rule("node_arriving").protocol(IPPROTO_UDP).port(kDestinationPort, nodes.vxlan_port).verdict(NF_ACCEPT));
  }
  for (const auto* name : {"node_leaving", "node_arriving"}) {
    out.push_back(Rule(name).neighbour_discovery().verdict(NF_ACCEPT));
    out.push_back(Rule(name).count().verdict(rules.drops ? NF_DROP : NF_ACCEPT));
  }
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
  if (rules.xfrm_encrypts) out.push_back(Rule("leaving").to_be_encrypted_by_xfrm().verdict(NF_ACCEPT));
  for (const auto& cidr : rules.local) {
    out.push_back(Rule("leaving").to(cidr).verdict(NF_ACCEPT));
    out.push_back(Rule("arriving").from(cidr).verdict(NF_ACCEPT));
  }
  if (!rules.nodes.peers.empty()) add_node_rules(rules, out);
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
  if (!rules.nodes.peers.empty()) {
    for (const auto* name : {"node_leaving", "node_arriving"}) out.push_back(chain(name));
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
