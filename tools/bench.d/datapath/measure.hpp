// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tools/bench.d/datapath/scenes.hpp"

struct bpf_object;

// Runs programs on packets and takes the time. Time is what the processor spent on this thread, so that what else the
// machine does is not counted, but for the caches that it spoils.
namespace sheath::bench {

struct CloseObject {
  void operator()(bpf_object* object) const;
};
using Object = std::unique_ptr<bpf_object, CloseObject>;

// The programs that only the benchmark has.
class Meter {
 public:
  // `prefixes`: how many destinations the floor's tables hold.
  Meter(Family family, std::uint32_t prefixes);

  // The same packets as `like`, run through a program that does nothing, and through the floor.
  Case nothing(const Case& like) const;
  Case floor(const Case& like) const;

  // Nanoseconds for one packet, the mean of `repeat` in a row; caches are as warm as they make them.
  double warm(const Case& what, std::uint32_t repeat) const;

  // Nanoseconds for one packet after everything was thrown out of the caches.
  double cold(const Case& what) const;

  int floor_program() const;

 private:
  double run(const Case& what, std::uint32_t repeat) const;

  Object spread_;
  Object nothing_;
  Object floor_;
  mutable std::vector<std::uint8_t> sweep_;  // what is walked over to empty the caches
};

}  // namespace sheath::bench
