// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/pace.hpp"

#include <algorithm>

namespace sheath::agent {

void Pace::changed(Time now) {
  if (!first_change_) first_change_ = now;
  last_change_ = now;
}

void Pace::done(Time now, Outcome outcome, Clock::duration took) {
  first_change_.reset();
  last_change_.reset();
  if (outcome != Outcome::kFailed) retry_ = std::chrono::seconds{0};
  if (outcome != Outcome::kWaiting) waiting_since_.reset();
  switch (outcome) {
    case Outcome::kSettled:
      due_ = now + resync_;
      break;
    case Outcome::kWaiting: {
      if (!waiting_since_) waiting_since_ = now;
      const auto poll = now - *waiting_since_ < kPollFor ? Clock::duration(kPoll) : Clock::duration(kPollLater);
      due_ = now + std::min(std::max(poll, kRest * took), Clock::duration(resync_));
      break;
    }
    case Outcome::kFailed:
      retry_ = std::clamp(retry_ * 2, kFirstRetry, kLastRetry);
      due_ = now + retry_;
      break;
  }
}

Pace::Time Pace::due() const {
  if (!first_change_) return due_;
  return std::min(due_, std::min(*last_change_ + kQuiet, *first_change_ + kGatherAtMost));
}

}  // namespace sheath::agent
