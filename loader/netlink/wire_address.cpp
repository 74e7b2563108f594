// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/wire_address.hpp"

#include <sys/socket.h>

#include <algorithm>

namespace sheath::netlink {

int address_family(Family family) {
  return family == Family::kIpv4 ? AF_INET : AF_INET6;
}

std::optional<Family> family_of(int address_family) {
  if (address_family == AF_INET) return Family::kIpv4;
  if (address_family == AF_INET6) return Family::kIpv6;
  return std::nullopt;
}

std::optional<IpAddress> read_address(Family family, Bytes bytes) {
  IpAddress address{family, {}};
  if (bytes.size() != address.size()) return std::nullopt;
  std::ranges::copy(bytes, address.bytes.begin());
  return address;
}

}  // namespace sheath::netlink
