// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// Packets from descriptions: a test says what matters in it, the rest is ordinary.
namespace sheath::test {

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kEsp = 50, kIcmpv6 = 58;
inline constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragmentHeader = 44, kAuthentication = 51,
                              kDestination = 60, kMobility = 135;

struct Fragment {
  std::uint16_t offset = 0;  // in units of 8 bytes
  bool more = false;
};

struct PacketSpec {
  std::string source;  // the family follows from the addresses
  std::string dest;
  std::uint8_t protocol = kUdp;
  std::uint16_t source_port = 40000;
  std::uint16_t dest_port = 8080;
  std::uint8_t icmp_type = 8;
  std::size_t payload = 32;  // bytes behind the upper-layer header
  std::uint8_t hop_limit = 64;
  bool dont_fragment = false;            // IPv4 only
  std::optional<Fragment> fragment;      // IPv6: by a fragment header, last of the extension headers
  std::size_t options = 0;               // bytes of IPv4 options, a multiple of 4
  std::vector<std::uint8_t> extensions;  // IPv6 extension headers in their order, eight bytes each
  std::vector<std::uint16_t> vlans;      // tags inside the frame, the outermost first
  bool ethernet = true;

  bool ipv6() const { return source.find(':') != std::string::npos; }
};

// With right lengths, and checksums in the IP header and in the upper layer.
Bytes build(const PacketSpec& spec);

// From the first byte to the IP header.
std::size_t link_size(const PacketSpec& spec);

// The MAC addresses of every frame: locally administered, and different.
inline constexpr std::uint8_t kDestMac[6] = {2, 0, 0, 0, 0, 0xd};
inline constexpr std::uint8_t kSourceMac[6] = {2, 0, 0, 0, 0, 0x5};

std::uint16_t read16(const Bytes& bytes, std::size_t offset);
std::uint32_t read32(const Bytes& bytes, std::size_t offset);
void write16(Bytes& bytes, std::size_t offset, std::uint16_t value);

}  // namespace sheath::test
