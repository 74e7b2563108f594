// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "maps/own_pods.hpp"

namespace sheath::maps {
namespace {

Cidr cidr(const char* text) {
  return Cidr::parse(text).value();
}

TEST_CASE("own pods: into the constants of a program, and out of them the same") {
  const std::set<Cidr> prefixes{cidr("10.244.1.0/25"), cidr("10.9.0.0/16"), cidr("fd00:10:244:1::/64"),
                                cidr("fd00:1:2:3:4:5::/112")};
  sheath_config config{};
  config.own4_count = 9;  // of whoever was there before
  put_own_pods(prefixes, config);
  CHECK(config.own4_count == 2);
  CHECK(config.own6_count == 2);
  CHECK(take_own_pods(config) == prefixes);
  CHECK(take_own_pods(sheath_config{}).empty());
}

TEST_CASE("own pods: what is too many is left out, of each family by itself") {
  const std::set<Cidr> prefixes{cidr("10.1.0.0/16"), cidr("10.2.0.0/16"), cidr("10.3.0.0/16"), cidr("fd00:1::/64")};
  CHECK(own_pods_of(prefixes) == std::set<Cidr>{cidr("10.1.0.0/16"), cidr("10.2.0.0/16"), cidr("fd00:1::/64")});
}

}  // namespace
}  // namespace sheath::maps
