// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "loader/base/address.hpp"
#include "loader/netlink/message.hpp"

// Addresses as the kernel's messages carry them: bytes in network order, the family beside them.
namespace sheath::netlink {

// AF_INET, AF_INET6.
int address_family(Family family);
// nullopt for any other.
std::optional<Family> family_of(int address_family);

// nullopt when there are not exactly as many bytes as the family has.
std::optional<IpAddress> read_address(Family family, Bytes bytes);
inline std::optional<IpAddress> read_address(Family family, std::optional<Bytes> bytes) {
  return bytes ? read_address(family, *bytes) : std::nullopt;
}

// A view into the address.
inline Bytes address_bytes(const IpAddress& address) {
  return Bytes(address.bytes).first(address.size());
}

}  // namespace sheath::netlink
