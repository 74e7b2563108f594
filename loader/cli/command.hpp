// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/cli/output.hpp"
#include "loader/keys/secret.hpp"
#include "loader/state/load_config.hpp"

namespace sheath::cli {

// Exit codes, as `sheath help` lists them.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kMisuse = 2,
  kDegraded = 3,  // something is not encrypted that should be
};

enum class Format { kText, kJson };

// What the user asked for.
struct Invocation {
  std::vector<std::string> arguments;  // behind the command's name
  state::ConfigSources config;         // --config and the flags of config keys
  std::optional<std::string> netns;
  Format format = Format::kText;
  std::map<std::string, std::string, std::less<>> options;  // of the command's own; "" without a value
  Style style;

  bool has(std::string_view option) const { return options.contains(option); }
  bool json() const { return format == Format::kJson; }
};

// What a command has to say: data for stdout, and the exit code. Words for people go to stderr by warn().
struct Outcome {
  std::string output;
  ExitCode code = kDone;
  // Written instead of `output`: text with a key in it, which is in no other memory.
  std::optional<keys::SecretBuffer> secret = std::nullopt;
};

struct CommandOption {
  std::string_view name;        // without dashes
  std::string_view value_name;  // empty: takes none
  std::string_view help;
};

struct Example {
  std::string_view command;
  std::string_view what;
};

struct Command {
  std::string_view name;  // "node list"
  std::string_view summary;
  std::string_view arguments;  // "[FILE]"
  std::size_t min_arguments = 0;
  std::size_t max_arguments = 0;
  std::string_view details;  // a paragraph or more
  std::vector<CommandOption> options;
  std::vector<Example> examples;
  Result<Outcome> (*run)(const Invocation&) = nullptr;
};

// One line to stderr: "warning: ...".
void warn(std::string_view text);
// To stderr: "error: ...", and a line with its hint.
void complain(const Error& error);

}  // namespace sheath::cli
