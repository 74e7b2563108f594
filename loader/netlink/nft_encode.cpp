// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/nft_encode.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace sheath::netlink::nft {
namespace {

// An element of a set takes up to 48 bytes, and an attribute 64 KiB at most.
constexpr std::size_t kElementsInMessage = 1000;
constexpr std::size_t kElementsCapacity = 60000;

// What `nft` shows the keys of a set as: its own numbers (nftables, include/datatype.h).
constexpr std::uint32_t kShownAsIpv4 = 7, kShownAsIpv6 = 8;

// nf_tables takes its numbers in network order.
void put_big(Message& message, int type, std::uint32_t value) {
  message.put_u32(type, htonl(value));
}

void put_value(Message& message, int type, Bytes value) {
  const auto nest = message.nest(type);
  message.put(NFTA_DATA_VALUE, value);
}

std::string set_name(const char* what, Family family) {
  return std::string(what) + (family == Family::kIpv4 ? "4" : "6");
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

class Set {
 public:
  Set(const char* table, const char* what, Family family, std::uint32_t number, std::uint32_t flags)
      : table_(table), name_(set_name(what, family)), size_(family == Family::kIpv4 ? 4 : 16) {
    Message message = start(NFT_MSG_NEWSET, NLM_F_CREATE);
    message.put_string(NFTA_SET_TABLE, table_);
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
    auto& message = messages_.emplace_back(start(NFT_MSG_NEWSETELEM, NLM_F_CREATE, kElementsCapacity));
    message.put_string(NFTA_SET_ELEM_LIST_TABLE, table_);
    message.put_string(NFTA_SET_ELEM_LIST_SET, name_);
    list_.emplace(message.nest(NFTA_SET_ELEM_LIST_ELEMENTS));
  }

  const char* table_;
  std::string name_;
  std::uint32_t size_;
  std::size_t elements_ = 0;
  std::vector<Message> messages_;
  std::optional<Message::Nest> list_;
};

}  // namespace

Message start(int message, std::uint16_t flags, std::size_t capacity) {
  Message out(type_of(message), flags, capacity);
  out.put_struct(nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
  return out;
}

Message chain(const char* table, const char* name) {
  Message message = start(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
  message.put_string(NFTA_CHAIN_TABLE, table);
  message.put_string(NFTA_CHAIN_NAME, name);
  return message;
}

Message base_chain(const char* table, const char* name, std::uint32_t hook, std::int32_t priority) {
  Message message = chain(table, name);
  message.put_string(NFTA_CHAIN_TYPE, "filter");
  const auto nest = message.nest(NFTA_CHAIN_HOOK);
  put_big(message, NFTA_HOOK_HOOKNUM, hook);
  put_big(message, NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(priority));
  return message;
}

Rule::Rule(const char* table, const char* chain) : message_(start(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND)) {
  message_.put_string(NFTA_RULE_TABLE, table);
  message_.put_string(NFTA_RULE_CHAIN, chain);
  expressions_.emplace(message_.nest(NFTA_RULE_EXPRESSIONS));
}

Rule& Rule::device(std::uint32_t key, const std::string& name) {
  std::array<std::uint8_t, IFNAMSIZ> padded{};
  std::memcpy(padded.data(), name.data(), std::min(name.size(), padded.size() - 1));
  meta(key);
  return equals(padded);
}

Rule& Rule::device(std::uint32_t key, std::uint32_t ifindex) {
  meta(key);
  return equals({reinterpret_cast<const std::uint8_t*>(&ifindex), sizeof ifindex});  // in host order
}

Rule& Rule::from(const Cidr& cidr) {
  return within(source(cidr.address.family), cidr);
}

Rule& Rule::to(const Cidr& cidr) {
  return within(destination(cidr.address.family), cidr);
}

Rule& Rule::from_any_of(const char* set, Family family) {
  return any_of(set, family, source(family));
}

Rule& Rule::to_any_of(const char* set, Family family) {
  return any_of(set, family, destination(family));
}

Rule& Rule::mark(std::uint32_t value) {
  meta(NFT_META_MARK);
  return equals({reinterpret_cast<const std::uint8_t*>(&value), sizeof value});  // in host order
}

Rule& Rule::protocol(std::uint8_t value) {
  meta(NFT_META_L4PROTO);
  return equals({&value, 1});
}

// The same places with UDP (RFC 768) and TCP.
Rule& Rule::source_port(std::uint16_t value) {
  return port(0, value);
}

Rule& Rule::destination_port(std::uint16_t value) {
  return port(2, value);
}

Rule& Rule::port(std::uint32_t offset, std::uint16_t value) {
  load({NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2});
  const std::uint16_t big = htons(value);
  return equals({reinterpret_cast<const std::uint8_t*>(&big), sizeof big});
}

Rule& Rule::to_be_encrypted_by_xfrm() {
  const std::uint8_t yes = 1;
  add("rt", [&] {
    put_big(message_, NFTA_RT_KEY, NFT_RT_XFRM);
    put_big(message_, NFTA_RT_DREG, NFT_REG_1);
  });
  return equals({&yes, 1});
}

// 133 to 137, and it comes with this hop limit.
Rule& Rule::neighbour_discovery() {
  constexpr std::uint8_t kFirst = 133, kLast = 137, kLimit = 255;
  protocol(IPPROTO_ICMPV6);
  load({NFT_PAYLOAD_NETWORK_HEADER, 7, 1});
  equals({&kLimit, 1});
  load({NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1});
  compare({&kFirst, 1}, NFT_CMP_GTE);
  return compare({&kLast, 1}, NFT_CMP_LTE);
}

Rule& Rule::count() {
  add("counter", [] {});
  return *this;
}

Message Rule::verdict(std::int32_t code, const char* chain) {
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

template <typename PutData>
void Rule::add(const char* name, PutData put_data) {
  const auto element = message_.nest(NFTA_LIST_ELEM);
  message_.put_string(NFTA_EXPR_NAME, name);
  const auto data = message_.nest(NFTA_EXPR_DATA);
  put_data();
}

void Rule::meta(std::uint32_t key) {
  add("meta", [&] {
    put_big(message_, NFTA_META_KEY, key);
    put_big(message_, NFTA_META_DREG, NFT_REG_1);
  });
}

Rule& Rule::compare(Bytes value, std::uint32_t how) {
  add("cmp", [&] {
    put_big(message_, NFTA_CMP_SREG, NFT_REG_1);
    put_big(message_, NFTA_CMP_OP, how);
    put_value(message_, NFTA_CMP_DATA, value);
  });
  return *this;
}

Rule& Rule::equals(Bytes value) {
  return compare(value, NFT_CMP_EQ);
}

// RFC 791 and RFC 8200.
Rule::Field Rule::source(Family family) {
  return family == Family::kIpv4 ? Field{NFT_PAYLOAD_NETWORK_HEADER, 12, 4} : Field{NFT_PAYLOAD_NETWORK_HEADER, 8, 16};
}

Rule::Field Rule::destination(Family family) {
  return family == Family::kIpv4 ? Field{NFT_PAYLOAD_NETWORK_HEADER, 16, 4} : Field{NFT_PAYLOAD_NETWORK_HEADER, 24, 16};
}

void Rule::family(Family family) {
  const std::uint8_t number = family == Family::kIpv4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
  meta(NFT_META_NFPROTO);
  equals({&number, 1});
}

void Rule::load(const Field& field) {
  add("payload", [&] {
    put_big(message_, NFTA_PAYLOAD_DREG, NFT_REG_1);
    put_big(message_, NFTA_PAYLOAD_BASE, field.base);
    put_big(message_, NFTA_PAYLOAD_OFFSET, field.offset);
    put_big(message_, NFTA_PAYLOAD_LEN, field.size);
  });
}

Rule& Rule::within(const Field& field, const Cidr& cidr) {
  family(cidr.address.family);
  load(field);
  mask(field.size, cidr.length);
  return equals({cidr.address.bytes.data(), field.size});
}

Rule& Rule::any_of(const char* set, Family of, const Field& field) {
  family(of);
  load(field);
  add("lookup", [&] {
    message_.put_string(NFTA_LOOKUP_SET, set_name(set, of));
    put_big(message_, NFTA_LOOKUP_SREG, NFT_REG_1);
  });
  return *this;
}

void Rule::mask(std::uint32_t size, std::uint8_t length) {
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

std::vector<Message> addresses(const char* table, const char* set, Family family, std::uint32_t number,
                               const std::set<IpAddress>& elements) {
  Set out(table, set, family, number, 0);
  for (const auto& address : elements) {
    if (address.family == family) out.add(address);
  }
  return out.finish();
}

std::vector<Message> prefixes(const char* table, const char* set, Family family, std::uint32_t number,
                              const std::set<Cidr>& elements) {
  Set out(table, set, family, number, NFT_SET_INTERVAL);
  for (const auto& range : ranges_of(elements, family)) {
    out.add(range.first);
    if (range.end) out.add(*range.end, NFT_SET_ELEM_INTERVAL_END);
  }
  return out.finish();
}

}  // namespace sheath::netlink::nft
