// SPDX-License-Identifier: Apache-2.0
#include "loader/verify/sighting.hpp"

#include <netinet/in.h>

#include <algorithm>

namespace sheath::verify {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kIpv6Header = 40;
constexpr std::size_t kUdpHeader = 8;
constexpr std::size_t kVxlanHeader = 8;
constexpr std::size_t kEthernetHeader = 14;

struct Header {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;
  Bytes payload;
};

IpAddress address_at(Bytes packet, std::size_t offset, Family family) {
  IpAddress address{family, {}};
  std::ranges::copy(packet.subspan(offset, address.size()), address.bytes.begin());
  return address;
}

// Without IPv6 extension headers: none of ours has any.
std::optional<Header> read_header(Bytes packet) {
  const int version = packet.empty() ? 0 : packet[0] >> 4;
  if (version == 4 && packet.size() >= kIpv4Header) {
    const std::size_t length = (packet[0] & 0xfu) * 4;
    if (length < kIpv4Header || length > packet.size()) return std::nullopt;
    return Header{address_at(packet, 12, Family::kIpv4), address_at(packet, 16, Family::kIpv4), packet[9],
                  packet.subspan(length)};
  }
  if (version == 6 && packet.size() >= kIpv6Header) {
    return Header{address_at(packet, 8, Family::kIpv6), address_at(packet, 24, Family::kIpv6), packet[6],
                  packet.subspan(kIpv6Header)};
  }
  return std::nullopt;
}

std::uint16_t read16(Bytes bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

bool carries_esp(Bytes vxlan) {
  if (vxlan.size() < kVxlanHeader + kEthernetHeader) return false;
  const auto inner = read_header(vxlan.subspan(kVxlanHeader + kEthernetHeader));
  return inner && inner->protocol == IPPROTO_ESP;
}

}  // namespace

std::optional<Outer> read_outer(Bytes packet, const OuterPorts& ports) {
  const auto header = read_header(packet);
  if (!header) return std::nullopt;
  if (header->protocol == IPPROTO_ESP) return Outer{header->destination, "ESP"};
  if (header->protocol != IPPROTO_UDP || header->payload.size() < kUdpHeader) return std::nullopt;
  const auto source_port = read16(header->payload, 0);
  const auto port = read16(header->payload, 2);
  if (port == ports.wireguard && source_port == port) return Outer{header->destination, "WireGuard"};
  if (port == ports.vxlan && carries_esp(header->payload.subspan(kUdpHeader))) {
    return Outer{header->destination, "ESP in VXLAN"};
  }
  return std::nullopt;
}

std::optional<Ends> read_ends(Bytes packet) {
  const auto header = read_header(packet);
  if (!header) return std::nullopt;
  return Ends{header->source, header->destination, header->protocol};
}

}  // namespace sheath::verify
