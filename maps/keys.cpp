// SPDX-License-Identifier: Apache-2.0
#include "maps/keys.hpp"

#include <algorithm>

namespace sheath::maps {
namespace {

template <typename Prefix>
Prefix to_prefix(const Cidr& cidr) {
  Prefix key{};
  key.prefix_len = cidr.length;
  std::copy_n(cidr.address.bytes.begin(), sizeof key.addr, key.addr);
  return key;
}

template <typename Prefix>
Cidr from_prefix(const Prefix& key, Family family) {
  Cidr cidr{{family, {}}, static_cast<std::uint8_t>(key.prefix_len)};
  std::copy_n(key.addr, sizeof key.addr, cidr.address.bytes.begin());
  return cidr;
}

}  // namespace

sheath_addr to_key(const IpAddress& address) {
  sheath_addr key{};
  std::ranges::copy(address.mapped(), key.addr);
  return key;
}

IpAddress from_key(const sheath_addr& key) {
  return IpAddress::from_mapped(std::to_array(key.addr));
}

sheath_prefix4 to_prefix4(const Cidr& cidr) {
  return to_prefix<sheath_prefix4>(cidr);
}

sheath_prefix6 to_prefix6(const Cidr& cidr) {
  return to_prefix<sheath_prefix6>(cidr);
}

Cidr from_key(const sheath_prefix4& key) {
  return from_prefix(key, Family::kIpv4);
}

Cidr from_key(const sheath_prefix6& key) {
  return from_prefix(key, Family::kIpv6);
}

}  // namespace sheath::maps
