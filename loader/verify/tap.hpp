// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>

#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"

namespace sheath::verify {

// A packet that passed a device: on its way out, below every program there is; on its way in, above them.
struct Frame {
  std::uint32_t ifindex = 0;
  bool outgoing = false;
  std::span<const std::uint8_t> packet;  // from its network header, kTapBytes at most
};

inline constexpr std::size_t kTapBytes = 400;

// Looks on at all devices of this network namespace (AF_PACKET). Packets longer than kTapBytes are not shown: no probe
// is, whatever is around it. Needs CAP_NET_RAW.
class Tap {
 public:
  static Result<Tap> open();

  // Shows what has passed, and what passes within the time.
  Result<> watch(std::chrono::milliseconds time, const std::function<void(const Frame&)>& show);
  // Frames that were not shown for lack of room, since the last call.
  Result<std::uint32_t> lost();

 private:
  explicit Tap(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace sheath::verify
