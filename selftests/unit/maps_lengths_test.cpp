// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "maps/lengths.hpp"

namespace sheath::maps {
namespace {

std::vector<Cidr> cidrs(std::initializer_list<const char*> texts) {
  std::vector<Cidr> out;
  for (const auto* text : texts) out.push_back(Cidr::parse(text).value());
  return out;
}

std::string cover(const PrefixLengths& lengths, Family family, std::uint8_t length) {
  const auto found = lengths.find({family, length});
  return found == lengths.end() ? "none" : found->second.text();
}

TEST_CASE("lengths: one entry for each length, covered by what its prefixes have in common") {
  const auto lengths = lengths_of(cidrs({"10.244.1.0/24", "10.244.6.0/24", "10.9.0.0/16", "fd00:1:2:3::/64"}), {});
  CHECK(lengths.size() == 3);
  CHECK(cover(lengths, Family::kIpv4, 24) == "10.244.0.0/21");
  CHECK(cover(lengths, Family::kIpv4, 16) == "10.9.0.0/16");
  CHECK(cover(lengths, Family::kIpv6, 64) == "fd00:1:2:3::/64");
}

TEST_CASE("lengths: what lies in a range is taken for the whole of it, so that nodes come without a change") {
  const auto ranges = cidrs({"10.244.0.0/16", "fd00:10:244::/48"});
  const auto one = lengths_of(cidrs({"10.244.1.0/24", "fd00:10:244:1::/64"}), ranges);
  CHECK(cover(one, Family::kIpv4, 24) == "10.244.0.0/16");
  CHECK(one == lengths_of(cidrs({"10.244.1.0/24", "10.244.200.0/24", "fd00:10:244:9::/64"}), ranges));
  CHECK(cover(lengths_of(cidrs({"10.244.1.0/24", "10.7.0.0/24"}), ranges), Family::kIpv4, 24) == "10.0.0.0/8");
}

TEST_CASE("lengths: prefixes with nothing in common are covered by everything, long IPv6 ones by their first half") {
  CHECK(cover(lengths_of(cidrs({"10.0.0.0/24", "192.168.0.0/24"}), {}), Family::kIpv4, 24) == "0.0.0.0/0");
  CHECK(cover(lengths_of(cidrs({"fd00:1:2:3:4:5::/112"}), {}), Family::kIpv6, 112) == "fd00:1:2:3::/64");
  CHECK(cover(lengths_of(cidrs({"0.0.0.0/0"}), {}), Family::kIpv4, 0) == "0.0.0.0/0");
}

TEST_CASE("lengths: into the constants the longest first, and out of them the same") {
  const auto lengths =
      lengths_of(cidrs({"10.244.0.0/16", "10.244.1.0/24", "10.244.1.128/26", "fd00::/48", "fd00:0:0:1::/64"}), {});
  sheath_config config{};
  config.lengths4_count = 7;  // of whoever was there before
  put_lengths(lengths, config);
  REQUIRE(config.lengths4_count == 3);
  CHECK(config.lengths4[0].length == 26);
  CHECK(config.lengths4[2].length == 16);
  REQUIRE(config.lengths6_count == 2);
  CHECK(config.lengths6[0].length == 64);
  CHECK(take_lengths(config) == lengths);
  CHECK(take_lengths(sheath_config{}).empty());
}

TEST_CASE("lengths: what two know together covers the prefixes of either") {
  const auto both = merged(lengths_of(cidrs({"10.244.1.0/24", "fd00::/64"}), {}),
                           lengths_of(cidrs({"10.245.1.0/24", "10.0.0.0/8"}), {}));
  CHECK(both.size() == 3);
  CHECK(cover(both, Family::kIpv4, 24) == "10.244.0.0/15");
  CHECK(cover(both, Family::kIpv4, 8) == "10.0.0.0/8");
  CHECK(cover(both, Family::kIpv6, 64) == "fd00::/64");
}

TEST_CASE("lengths: they are counted by family") {
  std::vector<Cidr> prefixes;
  for (unsigned length = 8; length < 24; ++length) {
    prefixes.push_back(Cidr::parse("10.0.0.0/" + std::to_string(length)).value());
    prefixes.push_back(Cidr::parse("fd00::/" + std::to_string(length)).value());
  }
  CHECK_FALSE(more_than(16, lengths_of(prefixes, {})));
  prefixes.push_back(Cidr::parse("10.0.0.0/24").value());
  CHECK(more_than(16, lengths_of(prefixes, {})));
}

}  // namespace
}  // namespace sheath::maps
