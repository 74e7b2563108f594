// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/backstop.hpp"

namespace sheath::plan {
namespace {

// Of the rules that a backstop becomes: another number when they change, so that old ones are replaced.
constexpr const char* kLayout = "3";

// FNV-1a, 64 bits (RFC 9923). Nobody gains by a collision: who can write the table can empty it.
class Hash {
 public:
  void add(const std::string& word) {
    for (const char c : word) add_byte(static_cast<unsigned char>(c));
    add_byte(0);
  }
  // For many of them: their bytes, which cost less than their text.
  void add(const IpAddress& address) {
    add_byte(static_cast<unsigned char>(address.family));
    for (std::size_t at = 0; at < address.size(); ++at) add_byte(address.bytes[at]);
  }
  std::uint64_t value() const { return value_; }

 private:
  void add_byte(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3; }
  std::uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace

std::uint64_t digest(const Backstop& backstop) {
  Hash hash;
  hash.add(kLayout);
  if (!backstop.drops) hash.add("counts");
  for (const auto& [ifindex, name] : backstop.watched) hash.add(std::to_string(ifindex));
  hash.add("");
  for (const auto& name : backstop.own) hash.add(name);
  for (const auto* cidrs : {&backstop.cluster, &backstop.local}) {
    hash.add("");
    for (const auto& cidr : *cidrs) hash.add(cidr.text());
  }
  const auto& nodes = backstop.nodes;
  for (const auto* addresses : {&nodes.own, &nodes.peers}) {
    hash.add("");
    for (const auto& address : *addresses) hash.add(address);
  }
  hash.add("");
  for (const auto& cidr : nodes.pods) {
    hash.add(cidr.address);
    hash.add(std::to_string(cidr.length));
  }
  for (const auto number : {nodes.outer_mark, std::uint32_t{nodes.wireguard_port}, std::uint32_t{nodes.vxlan_port}}) {
    hash.add(std::to_string(number));
  }
  return hash.value() == 0 ? 1 : hash.value();
}

}  // namespace sheath::plan
