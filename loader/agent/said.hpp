// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "loader/agent/log.hpp"

namespace sheath::agent {

// Lines of one kind: each is said when it comes, not each time it is there.
class Said {
 public:
  void update(Level level, const std::vector<std::string>& lines) {
    std::set<std::string> now(lines.begin(), lines.end());
    for (const auto& line : lines) {
      if (!said_.contains(line)) log(level, line);
    }
    said_ = std::move(now);
  }

 private:
  std::set<std::string> said_;
};

}  // namespace sheath::agent
