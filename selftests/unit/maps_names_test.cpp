// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "loader/base/address.hpp"
#include "maps/keys.hpp"
#include "maps/names.hpp"

namespace sheath::maps {
namespace {

TEST_CASE("names: every reason and direction has its number, its name and its words") {
  REQUIRE(reasons().size() == SHEATH_REASON_COUNT);
  REQUIRE(directions().size() == SHEATH_DIRECTION_COUNT);
  for (std::size_t i = 0; i < reasons().size(); ++i) {
    CHECK(reasons()[i].reason == static_cast<sheath_reason>(i));
    CHECK_FALSE(reasons()[i].doc.empty());
  }
  CHECK(reason_name(SHEATH_REASON_no_key) == "no_key");
  CHECK(reasons()[SHEATH_REASON_no_key].verdict == SHEATH_VERDICT_drop);
  CHECK(direction_name(SHEATH_DIRECTION_tunnel_ingress) == "tunnel_ingress");
  CHECK(find_direction("pod_egress") == SHEATH_DIRECTION_pod_egress);
  CHECK_FALSE(find_direction("pod_egres"));
}

TEST_CASE("names: what leaves a device is seen at its egress, but for a pod's, whose device is the host's end") {
  for (const auto& direction : directions()) {
    CAPTURE(direction.name);
    const bool egress = direction.name == "uplink_egress" || direction.name == "overlay_egress";
    CHECK(is_on_egress(direction.direction) == egress);
  }
}

TEST_CASE("names: a probe is consumed, which is no drop") {
  CHECK(reasons()[SHEATH_REASON_probe].verdict == SHEATH_VERDICT_consume);
  CHECK(verdict_name(SHEATH_VERDICT_consume) == "consume");
}

TEST_CASE("names: a number without a name is unknown, not a crash") {
  CHECK(reason_name(SHEATH_REASON_COUNT) == "unknown");
  CHECK(direction_name(SHEATH_DIRECTION_COUNT) == "unknown");
}

TEST_CASE("names: each reason has a counter of its own") {
  sheath_counters counters{};
  for (std::size_t i = 0; i < reasons().size(); ++i) counter(counters, reasons()[i].reason).packets = i + 1;
  CHECK(counters.encrypted.packets == 1);
  CHECK(counters.no_answer.packets == SHEATH_REASON_no_answer + 1U);
  CHECK(counters.bad_source.packets == SHEATH_REASON_bad_source + 1U);
}

TEST_CASE("keys: addresses and prefixes come back from their map keys unchanged") {
  for (const auto* text : {"10.244.1.7", "0.0.0.0", "fd00::1", "::"}) {
    CAPTURE(text);
    const auto address = IpAddress::parse(text).value();
    CHECK(from_key(to_key(address)) == address);
  }
  const auto four = Cidr::parse("10.244.1.0/24").value();
  CHECK(to_prefix4(four).prefix_len == 24);
  CHECK(to_prefix4(four).addr[2] == 1);
  CHECK(from_key(to_prefix4(four)) == four);
  const auto six = Cidr::parse("fd00:10:244:1::/64").value();
  CHECK(to_prefix6(six).addr[3] == 0x10);
  CHECK(from_key(to_prefix6(six)) == six);
}

TEST_CASE("keys: an IPv4 address is held as ::ffff:a.b.c.d") {
  const auto key = to_key(IpAddress::parse("10.244.1.7").value());
  CHECK(key.addr[10] == 0xff);
  CHECK(key.addr[11] == 0xff);
  CHECK(key.addr[12] == 10);
  CHECK(key.addr[15] == 7);
}

}  // namespace
}  // namespace sheath::maps
