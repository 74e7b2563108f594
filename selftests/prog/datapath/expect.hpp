// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <span>

#include "selftests/prog/datapath/cluster.hpp"

// What a program should have done with a packet, and the one function that compares.
namespace sheath::test {

inline constexpr int kActUnspec = -1, kActShot = 2, kActRedirect = 7;
inline constexpr std::array kFamilies = {Family::kIpv4, Family::kIpv6};
inline constexpr std::array kModes = {Mode::kStrict, Mode::kPermissive};

struct Expected {
  sheath_reason reason;
  sheath_reason strict_reason;
  int action = kActUnspec;
  std::uint32_t mark = 0;
  std::uint32_t out_ifindex = 0;
  std::uint16_t node_id = 0;
};

Expected passes(sheath_reason reason, std::uint16_t node_id = 0);
Expected drops(sheath_reason reason, std::uint16_t node_id = 0);
// To the ready peer's tunnel.
Expected encrypts(std::uint32_t mark = kReadyMark);
// Dropped when strict; else it passes, counted as plaintext_passed, and the report says what strict would have said.
Expected withheld(sheath_reason reason, Mode mode, std::uint16_t node_id = 0);

// Whether packets of this reason are reported in a traced program.
bool is_reported(sheath_reason reason);

// Runs the packet and compares action, mark, redirect target, counters (this one moved, by one packet and its bytes,
// and no other) and the report. Returns the outcome so that the caller can look at the bytes.
Outcome expect_outcome(Datapath& datapath, sheath_direction direction, const Bytes& packet, const Expected& expected,
                       const Context& context = {});

// As expect_outcome, and the bytes are as they were.
void expect_unchanged(Datapath& datapath, sheath_direction direction, const Bytes& packet, const Expected& expected,
                      const Context& context = {});

// A row of the verdict table: from whom to whom, and why what happens in strict mode happens.
struct Row {
  const Party& source;
  const Party& dest;
  sheath_reason reason;
  std::uint16_t node_id = 0;
};

// Runs an ordinary packet of each row at the uplink, in both families and both modes, and expects its bytes unchanged.
void expect_rows(sheath_direction direction, std::span<const Row> rows,
                 const std::function<Expected(const Row&, Mode)>& expected);

// Context of a packet at the uplink.
Context at_uplink(std::uint32_t mark = 0);

}  // namespace sheath::test
