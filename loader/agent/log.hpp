// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace sheath::agent {

// The numbers of syslog(3), which the journal takes as a prefix: sd-daemon(3).
enum class Level { kError = 3, kWarning = 4, kNotice = 5, kInfo = 6 };

// A line to stderr. Line ends and control characters in it become spaces: node objects are others' words.
void log(Level level, std::string_view text);

}  // namespace sheath::agent
