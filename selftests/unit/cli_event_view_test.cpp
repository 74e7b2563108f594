// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "loader/cli/event_view.hpp"
#include "maps/keys.hpp"

using namespace sheath;
using namespace sheath::cli;

namespace {

sheath_event drop() {
  sheath_event event{};
  event.ifindex = 2;
  event.length = 98;
  event.node_id = 7;
  event.source_port = 4000;
  event.dest_port = 443;
  event.direction = SHEATH_DIRECTION_uplink_egress;
  event.reason = event.strict_reason = SHEATH_REASON_no_key;
  event.family = 4;
  event.protocol = 6;
  event.source = maps::to_key(*IpAddress::parse("10.244.1.5"));
  event.dest = maps::to_key(*IpAddress::parse("10.244.2.5"));
  return event;
}

const EventNames kNames{{{7, "kind-worker2"}, {8, ""}}, {{2, "eth0"}, {9, "cilium_wg0"}}};

std::string line(const sheath_event& event) {
  return event_line(event, kNames, 0.25, Style{}).substr(sizeof "00:00:00.250");
}

}  // namespace

TEST_CASE("event view: a line says verdict, reason, flow, program, device and peer") {
  CHECK(line(drop()) ==
        "drop no_key TCP 10.244.1.5:4000 > 10.244.2.5:443, 98 B, uplink_egress on eth0, peer kind-worker2\n");
  auto event = drop();
  event.reason = SHEATH_REASON_plaintext_passed;
  event.node_id = 0;
  event.protocol = 1;
  event.source_port = event.dest_port = 0;
  CHECK(line(event) ==
        "pass plaintext_passed (strict: no_key) ICMP 10.244.1.5 > 10.244.2.5, 98 B, uplink_egress on eth0\n");
  event.reason = event.strict_reason = SHEATH_REASON_encrypted;
  event.out_ifindex = 9;
  event.ifindex = 3;
  event.node_id = 8;
  event.mtu = 1420;
  event.family = 0;
  CHECK(line(event) ==
        "encrypt encrypted not parsed, 98 B, uplink_egress on device 3 to cilium_wg0, peer node 8, MTU 1420\n");
}

TEST_CASE("event view: the same as JSON, a line each") {
  const auto text = event_json(drop(), kNames, 1.5);
  CHECK(text.find('\n') == text.size() - 1);
  const auto json = nlohmann::json::parse(text);
  CHECK(json["time"] == 1.5);
  CHECK(json["verdict"] == "drop");
  CHECK(json["reason"] == "no_key");
  CHECK(json["peer"] == "kind-worker2");
  CHECK(json["source"] == "10.244.1.5");
  CHECK(json["destination_port"] == 443);
  CHECK(json["to_device"].is_null());
}

TEST_CASE("event view: a filter lets through what fits all that it has") {
  const auto event = drop();
  CHECK(EventFilter{}.fits(event, "kind-worker2"));
  const auto fits = [&](auto change) {
    EventFilter filter;
    change(filter);
    return filter.fits(event, "kind-worker2");
  };
  CHECK(fits([](EventFilter& f) { f.peer = "kind-worker2"; }));
  CHECK_FALSE(fits([](EventFilter& f) { f.peer = "kind-worker"; }));
  CHECK(fits([](EventFilter& f) { f.reason = SHEATH_REASON_no_key; }));
  CHECK_FALSE(fits([](EventFilter& f) { f.reason = SHEATH_REASON_encrypted; }));
  CHECK(fits([](EventFilter& f) { f.program = SHEATH_DIRECTION_uplink_egress; }));
  CHECK_FALSE(fits([](EventFilter& f) { f.program = SHEATH_DIRECTION_uplink_ingress; }));
  CHECK(fits([](EventFilter& f) { f.address = *Cidr::parse("10.244.2.0/24"); }));
  CHECK(fits([](EventFilter& f) { f.address = *Cidr::parse("10.244.1.5/32"); }));
  CHECK_FALSE(fits([](EventFilter& f) { f.address = *Cidr::parse("10.244.3.0/24"); }));
  CHECK(fits([](EventFilter& f) { f.drops_only = true; }));
  CHECK_FALSE(fits([](EventFilter& f) {
    f.peer = "kind-worker2";
    f.reason = SHEATH_REASON_encrypted;
  }));
  auto passed = event;
  passed.reason = SHEATH_REASON_plaintext_passed;
  EventFilter filter;
  filter.reason = SHEATH_REASON_no_key;
  CHECK(filter.fits(passed, ""));
  filter.drops_only = true;
  CHECK_FALSE(filter.fits(passed, ""));
}
