// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "loader/base/result.hpp"

namespace sheath {

enum class Family : std::uint8_t { kIpv4 = 4, kIpv6 = 6 };

// An IPv4 or IPv6 address. Bytes are in network order; IPv4 uses the first four, the rest is zero.
struct IpAddress {
  Family family = Family::kIpv4;
  std::array<std::uint8_t, 16> bytes{};

  static Result<IpAddress> parse(std::string_view text);
  std::string text() const;
  // 4 or 16.
  std::size_t size() const { return family == Family::kIpv4 ? 4 : 16; }
  // ::ffff:a.b.c.d for IPv4: the key of the maps node_ips and endpoints.
  std::array<std::uint8_t, 16> mapped() const;
  static IpAddress from_mapped(const std::array<std::uint8_t, 16>& bytes);
  auto operator<=>(const IpAddress&) const = default;
};

// A prefix with its host bits zero.
struct Cidr {
  IpAddress address;
  std::uint8_t length = 0;

  // Refuses host bits that are set: 10.244.1.7/24 is an error, with the network it probably meant as hint.
  static Result<Cidr> parse(std::string_view text);
  // The /32 or /128 of an address.
  static Cidr host(const IpAddress& address);
  // The prefix of that length that the address is in.
  static Cidr around(const IpAddress& address, std::uint8_t length);
  std::string text() const;
  bool contains(const IpAddress& other) const;
  bool contains(const Cidr& other) const;
  bool overlaps(const Cidr& other) const { return contains(other) || other.contains(*this); }
  auto operator<=>(const Cidr&) const = default;
};

// An address and a UDP port: 172.18.0.4:51871, [fd00::4]:51871.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  // As text() writes it: "172.18.0.2:51871", "[fd00::2]:51871". nullopt for anything else, port 0 too.
  static std::optional<Endpoint> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace sheath
