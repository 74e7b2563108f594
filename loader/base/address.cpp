// SPDX-License-Identifier: Apache-2.0
#include "loader/base/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace sheath {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int af(Family family) {
  return family == Family::kIpv4 ? AF_INET : AF_INET6;
}

// The address with everything behind the first `length` bits cleared.
IpAddress network_of(IpAddress address, std::uint8_t length) {
  for (std::size_t i = 0; i < address.size(); ++i) {
    const int bits = std::clamp(static_cast<int>(length) - static_cast<int>(i) * 8, 0, 8);
    address.bytes[i] = static_cast<std::uint8_t>(address.bytes[i] & (0xff << (8 - bits)));
  }
  return address;
}

std::optional<std::uint8_t> parse_length(std::string_view text, std::size_t max) {
  std::uint8_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string copy(text);
  const auto refusal = [&] { return fail(Error::misuse("\"" + copy + "\" is not an IPv4 or IPv6 address")); };
  // inet_pton would stop at a zero byte and call the rest an address.
  if (copy.find('\0') != std::string::npos) return refusal();
  IpAddress address;
  if (inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) return address;
  address.family = Family::kIpv6;
  if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) return address;
  return refusal();
}

std::string IpAddress::text() const {
  char buffer[INET6_ADDRSTRLEN] = {};
  inet_ntop(af(family), bytes.data(), buffer, sizeof buffer);
  return buffer;
}

std::array<std::uint8_t, 16> IpAddress::mapped() const {
  if (family == Family::kIpv6) return bytes;
  std::array<std::uint8_t, 16> out{};
  std::ranges::copy(kMappedPrefix, out.begin());
  std::copy_n(bytes.begin(), 4, out.begin() + kMappedPrefix.size());
  return out;
}

IpAddress IpAddress::from_mapped(const std::array<std::uint8_t, 16>& mapped) {
  if (!std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), mapped.begin())) return {Family::kIpv6, mapped};
  IpAddress out;
  std::copy_n(mapped.begin() + kMappedPrefix.size(), 4, out.bytes.begin());
  return out;
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto quoted = "\"" + std::string(text) + "\"";
  if (slash == std::string_view::npos) return fail(Error::misuse(quoted + " is not a CIDR: it has no /length"));
  auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return fail(Error::misuse(quoted + " is not a CIDR of IPv4 or IPv6"));
  const auto length = parse_length(text.substr(slash + 1), address->size() * 8);
  if (!length) {
    return fail(Error::misuse(quoted + " is not a CIDR: its length is not 0.." + std::to_string(address->size() * 8)));
  }
  const Cidr cidr{network_of(*address, *length), *length};
  if (cidr.address != *address) {
    return fail(Error::misuse(quoted + " is not a CIDR: host bits are set").hint("did you mean " + cidr.text() + "?"));
  }
  return cidr;
}

Cidr Cidr::host(const IpAddress& address) {
  return {address, static_cast<std::uint8_t>(address.size() * 8)};
}

Cidr Cidr::around(const IpAddress& address, std::uint8_t length) {
  return {network_of(address, length), length};
}

std::string Cidr::text() const {
  return address.text() + "/" + std::to_string(length);
}

bool Cidr::contains(const IpAddress& other) const {
  return other.family == address.family && network_of(other, length) == address;
}

bool Cidr::contains(const Cidr& other) const {
  return other.length >= length && contains(other.address);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto host = text.substr(0, colon);
  const auto number = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(std::string(host));
  if (!address || (address->family == Family::kIpv6) != bracketed) return std::nullopt;
  std::uint16_t port = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != number.data() + number.size() || port == 0) return std::nullopt;
  return Endpoint{*address, port};
}

std::string Endpoint::text() const {
  const auto host = address.family == Family::kIpv6 ? "[" + address.text() + "]" : address.text();
  return host + ":" + std::to_string(port);
}

}  // namespace sheath
