// SPDX-License-Identifier: Apache-2.0
#include "selftests/harness/checksum.hpp"

namespace sheath::test {

std::uint16_t ones_sum(std::span<const std::uint8_t> bytes, std::uint32_t seed) {
  std::uint64_t sum = seed;
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? std::uint64_t{bytes[i]} << 8 : bytes[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

std::uint16_t pseudo_header_sum(std::span<const std::uint8_t> ip, std::uint8_t protocol, std::size_t length) {
  const bool ipv4 = ip[0] >> 4 == 4;
  const auto addresses = ipv4 ? ip.subspan(12, 8) : ip.subspan(8, 32);
  return ones_sum(addresses, static_cast<std::uint32_t>(protocol + length));
}

}  // namespace sheath::test
