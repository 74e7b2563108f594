// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/cli/command.hpp"

namespace sheath::cli {

// The command line, taken apart. Options may stand before, between and behind the words.
struct CommandLine {
  std::vector<std::string> words;
  Invocation invocation;  // without `arguments`: which words these are depends on the command
  bool help = false;
  bool version = false;
};

// Misuses: unknown options (with the nearest name), a value that is missing, an output format that does not exist.
Result<CommandLine> parse_command_line(int argc, const char* const* argv);

// That the command has all options and as many arguments as were given.
Result<> check_usage(const Command& command, const Invocation& invocation);

// The options that every command has, for help: those that are not config keys.
const std::vector<CommandOption>& global_options();

}  // namespace sheath::cli
