// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>

namespace sheath::agent {

// When the next round is due. Pure: it is told the time.
//
// Changes are gathered, so that a burst is one round: it comes when nothing has changed for a moment, and not later
// than a second after the first. A round that failed is tried again, later each time. One that waits for peers goes
// round again soon, since not all that they do makes an event; but after a rest of four times the processor time that
// the last round took: a peer which is gone for good costs a fifth of a processor at most, however large the cluster.
// And without any reason a round comes each `resync`, which repairs what nobody told of.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;
  enum class Outcome { kSettled, kWaiting, kFailed };

  static constexpr std::chrono::milliseconds kQuiet{100};
  static constexpr std::chrono::seconds kGatherAtMost{1};
  static constexpr std::chrono::milliseconds kPoll{250};  // while peers are waited for
  static constexpr std::chrono::seconds kPollFor{60};     // then
  static constexpr std::chrono::seconds kPollLater{2};
  static constexpr int kRest = 4;  // times what a round took
  static constexpr std::chrono::seconds kFirstRetry{1}, kLastRetry{60};

  explicit Pace(std::chrono::seconds resync, Time now) : resync_(resync), due_(now) {}

  void changed(Time now);
  // A round has ended, which took so much of a processor.
  void done(Time now, Outcome outcome, Clock::duration took = {});
  void set_resync(std::chrono::seconds resync) { resync_ = resync; }

  Time due() const;

 private:
  std::chrono::seconds resync_;
  Time due_;  // without changes
  std::optional<Time> first_change_, last_change_;
  std::optional<Time> waiting_since_;
  std::chrono::seconds retry_{0};
};

}  // namespace sheath::agent
