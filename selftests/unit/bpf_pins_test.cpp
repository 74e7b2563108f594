// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "loader/bpf/pins.hpp"

namespace sheath::bpf {
namespace {

TEST_CASE("pins: a place comes back from its pin's name") {
  for (const auto* device : {"eth0", "eth0.100", "lxc_a_b", "a%2eb", "..", "%"}) {
    for (const auto program : {SHEATH_DIRECTION_uplink_egress, SHEATH_DIRECTION_pod_egress}) {
      const Place place{program, device};
      CAPTURE(pin_name(place));
      CHECK(pin_name(place).find('.') == std::string::npos);
      CHECK(parse_pin_name(pin_name(place)) == place);
    }
  }
}

TEST_CASE("pins: names that are not ours are no places") {
  for (const auto* name : {"", "uplink_egress", "uplink_egress_", "other_eth0", "uplink_egress_eth0.5",
                           "uplink_egress_eth0%new", "uplink_egress_a%2"}) {
    CAPTURE(name);
    CHECK_FALSE(parse_pin_name(name));
  }
}

TEST_CASE("pins: a place reads as a person would say it") {
  CHECK(text(Place{SHEATH_DIRECTION_tunnel_ingress, "cilium_wg0"}) == "tunnel_ingress on cilium_wg0");
}

}  // namespace
}  // namespace sheath::bpf
