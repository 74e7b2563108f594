// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/log.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace sheath::agent {
namespace {

const char* name_of(Level level) {
  switch (level) {
    case Level::kError:
      return "error: ";
    case Level::kWarning:
      return "warning: ";
    case Level::kNotice:
    case Level::kInfo:
      return "";
  }
  return "";
}

}  // namespace

void log(Level level, std::string_view text) {
  static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  std::string line = journal ? "<" + std::to_string(static_cast<int>(level)) + ">" : name_of(level);
  for (const char c : text) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace sheath::agent
