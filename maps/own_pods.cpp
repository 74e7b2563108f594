// SPDX-License-Identifier: Apache-2.0
#include "maps/own_pods.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sheath::maps {
namespace {

IpAddress netmask(const Cidr& prefix) {
  IpAddress ones{prefix.address.family, {}};
  ones.bytes.fill(0xff);
  return Cidr::around(ones, prefix.length).address;
}

void put4(const Cidr& prefix, sheath_config& config) {
  if (config.own4_count == SHEATH_MAX_OWN) return;
  const auto mask = netmask(prefix);
  auto& entry = config.own4[config.own4_count++];
  std::memcpy(&entry.network_be, prefix.address.bytes.data(), sizeof entry.network_be);
  std::memcpy(&entry.mask_be, mask.bytes.data(), sizeof entry.mask_be);
}

void put6(const Cidr& prefix, sheath_config& config) {
  if (config.own6_count == SHEATH_MAX_OWN) return;
  const auto mask = netmask(prefix);
  auto& entry = config.own6[config.own6_count++];
  std::memcpy(entry.network_be, prefix.address.bytes.data(), sizeof entry.network_be);
  std::memcpy(entry.mask_be, mask.bytes.data(), sizeof entry.mask_be);
}

template <typename Bytes>
IpAddress address_from(Family family, const Bytes& bytes) {
  IpAddress address{family, {}};
  std::memcpy(address.bytes.data(), &bytes, sizeof bytes);
  return address;
}

}  // namespace

std::set<Cidr> own_pods_of(const std::set<Cidr>& prefixes) {
  sheath_config config{};
  put_own_pods(prefixes, config);
  return take_own_pods(config);
}

void put_own_pods(const std::set<Cidr>& prefixes, sheath_config& config) {
  config.own4_count = config.own6_count = 0;
  for (const auto& prefix : prefixes)
    prefix.address.family == Family::kIpv4 ? put4(prefix, config) : put6(prefix, config);
}

std::set<Cidr> take_own_pods(const sheath_config& config) {
  std::set<Cidr> out;
  for (std::size_t i = 0; i < std::min<std::size_t>(config.own4_count, SHEATH_MAX_OWN); ++i) {
    const auto& entry = config.own4[i];
    out.insert(
        {address_from(Family::kIpv4, entry.network_be), static_cast<std::uint8_t>(std::popcount(entry.mask_be))});
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(config.own6_count, SHEATH_MAX_OWN); ++i) {
    const auto& entry = config.own6[i];
    const auto length = std::popcount(entry.mask_be[0]) + std::popcount(entry.mask_be[1]);
    out.insert({address_from(Family::kIpv6, entry.network_be), static_cast<std::uint8_t>(length)});
  }
  return out;
}

}  // namespace sheath::maps
