// SPDX-License-Identifier: Apache-2.0
#include "maps/lengths.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace sheath::maps {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

constexpr std::uint8_t kLongestCover = 64;  // of IPv6: the first half of the address is compared

Bytes mask_of(unsigned length) {
  Bytes mask{};
  for (unsigned bit = 0; bit < length; ++bit) mask[bit / 8] |= static_cast<std::uint8_t>(0x80U >> (bit % 8));
  return mask;
}

Cidr cut(Cidr cidr, unsigned length) {
  const auto mask = mask_of(length);
  for (std::size_t i = 0; i < mask.size(); ++i) cidr.address.bytes[i] &= mask[i];
  cidr.length = static_cast<std::uint8_t>(length);
  return cidr;
}

unsigned common_bits(const Cidr& left, const Cidr& right) {
  const unsigned most = std::min(left.length, right.length);
  for (unsigned bit = 0; bit < most; ++bit) {
    const auto differs = static_cast<std::uint8_t>(left.address.bytes[bit / 8] ^ right.address.bytes[bit / 8]);
    if (differs & (0x80U >> (bit % 8))) return bit;
  }
  return most;
}

Cidr widened(const Cidr& prefix, const std::vector<Cidr>& ranges) {
  const auto range = std::ranges::find_if(ranges, [&](const Cidr& each) { return each.contains(prefix); });
  const Cidr& wide = range == ranges.end() ? prefix : *range;
  if (wide.address.family == Family::kIpv6 && wide.length > kLongestCover) return cut(wide, kLongestCover);
  return wide;
}

void add(PrefixLengths& lengths, const PrefixLength& used, const Cidr& cover) {
  const auto [found, added] = lengths.try_emplace(used, cover);
  if (!added) found->second = cut(found->second, common_bits(found->second, cover));
}

template <typename Number>
Number load(const Bytes& bytes, std::size_t at) {
  Number number{};
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

template <typename Number>
Cidr cover_from(Number cover, Number mask, Family family) {
  Cidr cidr{{family, {}}, static_cast<std::uint8_t>(std::popcount(mask))};
  std::memcpy(cidr.address.bytes.data(), &cover, sizeof cover);
  return cidr;
}

void put4(const PrefixLength& used, const Cidr& cover, sheath_config& config) {
  if (config.lengths4_count == SHEATH_MAX_LENGTHS) return;
  const auto load4 = [](const Bytes& bytes) { return load<__be32>(bytes, 0); };
  config.lengths4[config.lengths4_count++] = {load4(cover.address.bytes), load4(mask_of(cover.length)),
                                              load4(mask_of(used.length)), used.length};
}

void put6(const PrefixLength& used, const Cidr& cover, sheath_config& config) {
  if (config.lengths6_count == SHEATH_MAX_LENGTHS) return;
  const auto load6 = [](const Bytes& bytes, std::size_t at) { return load<__be64>(bytes, at); };
  const auto mask = mask_of(used.length);
  config.lengths6[config.lengths6_count++] = {
      load6(cover.address.bytes, 0), load6(mask_of(cover.length), 0), {load6(mask, 0), load6(mask, 8)}, used.length, 0};
}

}  // namespace

PrefixLengths lengths_of(const std::vector<Cidr>& prefixes, const std::vector<Cidr>& ranges) {
  PrefixLengths lengths;
  for (const auto& prefix : prefixes) {
    add(lengths, {prefix.address.family, prefix.length}, widened(prefix, ranges));
  }
  return lengths;
}

PrefixLengths merged(PrefixLengths left, const PrefixLengths& right) {
  for (const auto& [used, cover] : right) add(left, used, cover);
  return left;
}

bool more_than(std::size_t count, const PrefixLengths& lengths) {
  const auto of = [&](Family family) {
    return std::ranges::count_if(lengths, [&](const auto& entry) { return entry.first.family == family; });
  };
  return std::max(of(Family::kIpv4), of(Family::kIpv6)) > static_cast<std::ptrdiff_t>(count);
}

// The longest first: the first that is found is the one that counts.
void put_lengths(const PrefixLengths& lengths, sheath_config& config) {
  config.lengths4_count = config.lengths6_count = 0;
  for (auto entry = lengths.rbegin(); entry != lengths.rend(); ++entry) {
    const auto& [used, cover] = *entry;
    used.family == Family::kIpv4 ? put4(used, cover, config) : put6(used, cover, config);
  }
}

PrefixLengths take_lengths(const sheath_config& config) {
  PrefixLengths lengths;
  for (std::size_t i = 0; i < std::min<std::size_t>(config.lengths4_count, SHEATH_MAX_LENGTHS); ++i) {
    const auto& used = config.lengths4[i];
    lengths[{Family::kIpv4, static_cast<std::uint8_t>(used.length)}] =
        cover_from(used.cover_be, used.cover_mask_be, Family::kIpv4);
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(config.lengths6_count, SHEATH_MAX_LENGTHS); ++i) {
    const auto& used = config.lengths6[i];
    lengths[{Family::kIpv6, static_cast<std::uint8_t>(used.length)}] =
        cover_from(used.cover_be, used.cover_mask_be, Family::kIpv6);
  }
  return lengths;
}

}  // namespace sheath::maps
