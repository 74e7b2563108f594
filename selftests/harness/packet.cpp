// SPDX-License-Identifier: Apache-2.0
#include "selftests/harness/packet.hpp"

#include <span>
#include <stdexcept>

#include "loader/base/address.hpp"
#include "selftests/harness/checksum.hpp"

namespace sheath::test {
namespace {

void append16(Bytes& bytes, std::size_t value) {
  bytes.push_back(static_cast<std::uint8_t>(value >> 8));
  bytes.push_back(static_cast<std::uint8_t>(value));
}

void append(Bytes& bytes, std::span<const std::uint8_t> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

void append_address(Bytes& bytes, const std::string& text) {
  const auto address = IpAddress::parse(text);
  if (!address) throw std::invalid_argument(text);
  append(bytes, std::span(address->bytes).first(address->size()));
}

// Offset of the checksum in the upper-layer header, or nothing for protocols without one here.
std::optional<std::size_t> checksum_offset(std::uint8_t protocol) {
  switch (protocol) {
    case kTcp:
      return 16;
    case kUdp:
      return 6;
    case kIcmp:
    case kIcmpv6:
      return 2;
    default:
      return std::nullopt;
  }
}

Bytes upper_header(const PacketSpec& spec) {
  Bytes header;
  if (spec.protocol == kIcmp || spec.protocol == kIcmpv6) {
    header = {spec.icmp_type, 0, 0, 0, 0, 1, 0, 2};
  } else if (spec.protocol == kTcp) {
    append16(header, spec.source_port);
    append16(header, spec.dest_port);
    append(header, Bytes{0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0});
  } else {
    append16(header, spec.source_port);
    append16(header, spec.dest_port);
    append16(header, 8 + spec.payload);
    append16(header, 0);
  }
  return header;
}

Bytes upper_layer(const PacketSpec& spec) {
  const bool later = spec.fragment && spec.fragment->offset != 0;
  Bytes upper = later ? Bytes{} : upper_header(spec);
  for (std::size_t i = 0; i < spec.payload; ++i) upper.push_back(static_cast<std::uint8_t>(i * 7 + i / 256));
  return upper;
}

Bytes ipv4_header(const PacketSpec& spec, std::size_t upper) {
  const std::size_t size = 20 + spec.options;
  Bytes ip = {static_cast<std::uint8_t>(0x40 | size / 4), 0};
  append16(ip, size + upper);
  append16(ip, 0x1234);
  const Fragment fragment = spec.fragment.value_or(Fragment{});
  append16(ip, (spec.dont_fragment ? 0x4000u : 0u) | (fragment.more ? 0x2000u : 0u) | fragment.offset);
  append(ip, Bytes{spec.hop_limit, spec.protocol, 0, 0});
  append_address(ip, spec.source);
  append_address(ip, spec.dest);
  ip.resize(size, 1);  // no-operation options
  write16(ip, 10, static_cast<std::uint16_t>(~ones_sum(ip)));
  return ip;
}

void append_extension(Bytes& ip, std::uint8_t kind, std::uint8_t next, const Fragment& fragment) {
  ip.push_back(next);
  ip.push_back(0);  // eight bytes, by either rule of counting
  if (kind == kFragmentHeader) {
    append16(ip, static_cast<std::size_t>(fragment.offset) << 3 | (fragment.more ? 1u : 0u));
    append(ip, Bytes{0, 0, 0, 7});
  } else {
    append(ip, Bytes{1, 4, 0, 0, 0, 0});  // one padding option
  }
}

Bytes ipv6_header(const PacketSpec& spec, std::size_t upper) {
  std::vector<std::uint8_t> chain = spec.extensions;
  if (spec.fragment) chain.push_back(kFragmentHeader);
  Bytes ip = {0x60, 0, 0, 0};
  append16(ip, chain.size() * 8 + upper);
  append(ip, Bytes{chain.empty() ? spec.protocol : chain[0], spec.hop_limit});
  append_address(ip, spec.source);
  append_address(ip, spec.dest);
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const std::uint8_t next = i + 1 < chain.size() ? chain[i + 1] : spec.protocol;
    append_extension(ip, chain[i], next, spec.fragment.value_or(Fragment{}));
  }
  return ip;
}

Bytes link_header(const PacketSpec& spec) {
  Bytes link;
  if (!spec.ethernet) return link;
  append(link, kDestMac);
  append(link, kSourceMac);
  for (const std::uint16_t tag : spec.vlans) {
    append16(link, 0x8100);
    append16(link, tag);
  }
  append16(link, spec.ipv6() ? 0x86dd : 0x0800);
  return link;
}

void put_checksum(Bytes& upper, const Bytes& ip, const PacketSpec& spec) {
  const auto offset = checksum_offset(spec.protocol);
  if (!offset || spec.fragment || *offset + 2 > upper.size()) return;
  const std::uint16_t pseudo = spec.protocol == kIcmp ? 0 : pseudo_header_sum(ip, spec.protocol, upper.size());
  write16(upper, *offset, static_cast<std::uint16_t>(~ones_sum(upper, pseudo)));
}

}  // namespace

Bytes build(const PacketSpec& spec) {
  Bytes upper = upper_layer(spec);
  const Bytes ip = spec.ipv6() ? ipv6_header(spec, upper.size()) : ipv4_header(spec, upper.size());
  put_checksum(upper, ip, spec);
  Bytes packet = link_header(spec);
  append(packet, ip);
  append(packet, upper);
  return packet;
}

std::size_t link_size(const PacketSpec& spec) {
  return spec.ethernet ? 14 + 4 * spec.vlans.size() : 0;
}

std::uint16_t read16(const Bytes& bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(bytes.at(offset) << 8 | bytes.at(offset + 1));
}

std::uint32_t read32(const Bytes& bytes, std::size_t offset) {
  return std::uint32_t{read16(bytes, offset)} << 16 | read16(bytes, offset + 2);
}

void write16(Bytes& bytes, std::size_t offset, std::uint16_t value) {
  bytes.at(offset) = static_cast<std::uint8_t>(value >> 8);
  bytes.at(offset + 1) = static_cast<std::uint8_t>(value);
}

}  // namespace sheath::test
