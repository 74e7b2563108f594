// SPDX-License-Identifier: Apache-2.0
#include "selftests/prog/datapath/expect.hpp"

#include <doctest/doctest.h>

#include "maps/names.hpp"

namespace sheath::test {
namespace {

std::string text(sheath_reason reason) {
  return std::string(maps::reason_name(reason));
}

void expect_counters(const sheath_counters& before, const sheath_counters& after, sheath_reason reason,
                     std::size_t bytes) {
  for (const auto& info : maps::reasons()) {
    CAPTURE(info.name);
    const bool moved = info.reason == reason;
    CHECK(maps::counter(after, info.reason).packets - maps::counter(before, info.reason).packets == (moved ? 1 : 0));
    CHECK(maps::counter(after, info.reason).bytes - maps::counter(before, info.reason).bytes == (moved ? bytes : 0));
  }
}

void expect_report(const sheath_event& event, sheath_direction direction, const Expected& expected,
                   std::size_t length) {
  CHECK(text(static_cast<sheath_reason>(event.reason)) == text(expected.reason));
  CHECK(text(static_cast<sheath_reason>(event.strict_reason)) == text(expected.strict_reason));
  CHECK(event.direction == direction);
  CHECK(event.out_ifindex == expected.out_ifindex);
  CHECK(event.mark == expected.mark);
  CHECK(event.node_id == expected.node_id);
  CHECK(event.length == length);
  CHECK(event.time_ns > 0);
}

bool is_withheld(const Expected& expected) {
  return expected.reason == SHEATH_REASON_plaintext_passed ||
         maps::reasons()[expected.reason].verdict == SHEATH_VERDICT_drop;
}

sheath_withheld_key withheld_key(sheath_direction direction, const Expected& expected) {
  return {expected.node_id,
          static_cast<std::uint8_t>(direction),
          static_cast<std::uint8_t>(expected.strict_reason),
          static_cast<std::uint8_t>(expected.reason == SHEATH_REASON_plaintext_passed ? 0 : 1),
          {}};
}

}  // namespace

Expected passes(sheath_reason reason, std::uint16_t node_id) {
  return {.reason = reason, .strict_reason = reason, .node_id = node_id};
}

Expected drops(sheath_reason reason, std::uint16_t node_id) {
  return {.reason = reason, .strict_reason = reason, .action = kActShot, .node_id = node_id};
}

Expected encrypts(std::uint32_t mark) {
  return {.reason = SHEATH_REASON_encrypted,
          .strict_reason = SHEATH_REASON_encrypted,
          .action = kActRedirect,
          .mark = mark,
          .out_ifindex = devices().tunnel.ifindex,
          .node_id = kReadyNode};
}

Expected withheld(sheath_reason reason, Mode mode, std::uint16_t node_id) {
  if (mode == Mode::kStrict) return drops(reason, node_id);
  Expected expected = passes(SHEATH_REASON_plaintext_passed, node_id);
  expected.strict_reason = reason;
  return expected;
}

bool is_reported(sheath_reason reason) {
  return reason != SHEATH_REASON_not_ip && reason != SHEATH_REASON_link_scope && reason != SHEATH_REASON_world &&
         reason != SHEATH_REASON_to_stack;
}

Outcome expect_outcome(Datapath& datapath, sheath_direction direction, const Bytes& packet, const Expected& expected,
                       const Context& context) {
  const sheath_counters before = datapath.counters(direction);
  const sheath_withheld_key key = withheld_key(direction, expected);
  const sheath_withheld known = datapath.withheld(key);
  const std::uint64_t all_withheld = datapath.withheld_packets();
  Outcome outcome = datapath.run(direction, packet, context);
  CHECK(outcome.action == expected.action);
  CHECK(outcome.mark == expected.mark);
  expect_counters(before, datapath.counters(direction), expected.reason, packet.size());
  const std::uint64_t more = is_withheld(expected) ? 1 : 0;
  CHECK(datapath.withheld(key).packets - known.packets == more);
  CHECK(datapath.withheld(key).bytes - known.bytes == more * packet.size());
  CHECK(datapath.withheld(key).last_ns >= known.last_ns + more);
  CHECK(datapath.withheld_packets() - all_withheld == more);
  REQUIRE(outcome.events.size() == (is_reported(expected.reason) ? 1 : 0));
  if (!outcome.events.empty()) expect_report(outcome.events[0], direction, expected, packet.size());
  return outcome;
}

void expect_unchanged(Datapath& datapath, sheath_direction direction, const Bytes& packet, const Expected& expected,
                      const Context& context) {
  CHECK(expect_outcome(datapath, direction, packet, expected, context).bytes == packet);
}

void expect_rows(sheath_direction direction, std::span<const Row> rows,
                 const std::function<Expected(const Row&, Mode)>& expected) {
  for (const Row& row : rows)
    for (const Mode mode : kModes)
      for (const Family family : kFamilies) {
        INFO(row.source.name << " to " << row.dest.name << ", " << name_of(mode) << ", IPv"
                             << static_cast<int>(family));
        expect_unchanged(shared_cluster(mode), direction, build(between(row.source, row.dest, family)),
                         expected(row, mode), at_uplink());
      }
}

Context at_uplink(std::uint32_t mark) {
  return {.ifindex = devices().uplink.ifindex, .mark = mark};
}

}  // namespace sheath::test
