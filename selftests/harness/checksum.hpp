// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

// The internet checksum (RFC 1071), written from the RFC so that it can judge what the programs compute.
namespace sheath::test {

// The sum of 16-bit big-endian words, folded; an odd last byte counts as the high half of a word.
std::uint16_t ones_sum(std::span<const std::uint8_t> bytes, std::uint32_t seed = 0);

// The part of a sum that addresses, length and protocol make (RFC 768, 793; RFC 8200, 8.1). `ip` is an IP packet.
std::uint16_t pseudo_header_sum(std::span<const std::uint8_t> ip, std::uint8_t protocol, std::size_t length);

}  // namespace sheath::test
