// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/netfilter/nfnetlink.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/netlink/message.hpp"

// How the chains, sets and rules of an nf_tables table (family inet) are written. What they say is backstop.cpp's.
namespace sheath::netlink::nft {

// `message`: NFT_MSG_*.
constexpr std::uint16_t type_of(int message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

Message start(int message, std::uint16_t flags = 0, std::size_t capacity = Message::kDefaultCapacity);

// One that rules go to, and one that packets come by: `hook` is NF_INET_*, of two `priority`s the smaller is first.
Message chain(const char* table, const char* name);
Message base_chain(const char* table, const char* name, std::uint32_t hook, std::int32_t priority);

// A rule under construction: conditions, then what to do with what meets them all.
class Rule {
 public:
  Rule(const char* table, const char* chain);

  // `key`: NFT_META_OIFNAME and the like, and NFT_META_OIF.
  Rule& device(std::uint32_t key, const std::string& name);
  Rule& device(std::uint32_t key, std::uint32_t ifindex);
  Rule& from(const Cidr& cidr);
  Rule& to(const Cidr& cidr);
  // The set of that name and this family (Set).
  Rule& from_any_of(const char* set, Family family);
  Rule& to_any_of(const char* set, Family family);
  Rule& mark(std::uint32_t value);
  Rule& protocol(std::uint8_t value);
  Rule& source_port(std::uint16_t value);
  Rule& destination_port(std::uint16_t value);
  // xfrm takes it: seen here on its way into ESP, it leaves as ESP (xfrm4_output, net/ipv4/xfrm4_output.c).
  Rule& to_be_encrypted_by_xfrm();
  // RFC 4861.
  Rule& neighbour_discovery();
  Rule& count();

  // The end of it. `code`: NF_* or NFT_*; `chain`: where NFT_GOTO leads.
  Message verdict(std::int32_t code, const char* chain = nullptr);

 private:
  // Where a field is in its header.
  struct Field {
    std::uint32_t base;
    std::uint32_t offset;
    std::uint32_t size;
  };

  template <typename PutData>
  void add(const char* name, PutData put_data);
  void meta(std::uint32_t key);
  void load(const Field& field);
  void family(Family family);
  void mask(std::uint32_t size, std::uint8_t length);
  Rule& compare(Bytes value, std::uint32_t how);
  Rule& equals(Bytes value);
  Rule& within(const Field& field, const Cidr& cidr);
  Rule& any_of(const char* set, Family of, const Field& field);
  Rule& port(std::uint32_t offset, std::uint16_t value);
  static Field source(Family family);
  static Field destination(Family family);

  Message message_;
  std::optional<Message::Nest> expressions_;
};

// A set of addresses or prefixes, for each family one. It is constant: the kernel refuses to change its elements, so
// that who finds the table whole finds them whole.
//
// `number` is another one for each set of a transaction.
std::vector<Message> addresses(const char* table, const char* set, Family family, std::uint32_t number,
                               const std::set<IpAddress>& elements);
std::vector<Message> prefixes(const char* table, const char* set, Family family, std::uint32_t number,
                              const std::set<Cidr>& elements);

}  // namespace sheath::netlink::nft
