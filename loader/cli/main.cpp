// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <cstdio>
#include <exception>

#include "loader/base/netns.hpp"
#include "loader/cli/arguments.hpp"
#include "loader/cli/commands.hpp"

namespace sheath::cli {
namespace {

int report(const Error& error) {
  complain(error);
  return error.kind() == ErrorKind::kMisuse ? kMisuse : kFailed;
}

// --version and --help are other ways to say those commands.
std::vector<std::string> command_words(const CommandLine& line) {
  auto words = line.words;
  if (line.version) return {"version"};
  if (line.help && (words.empty() || words[0] != "help")) words.insert(words.begin(), "help");
  return words;
}

// `sheath help map dump metrics` is about map dump.
std::vector<std::string> known_arguments(const Command& command, std::vector<std::string> arguments) {
  if (command.name != "help") return arguments;
  const auto match = find_command(arguments);
  if (match) arguments.resize(arguments.size() - match->arguments.size());
  return arguments;
}

Result<Outcome> run(CommandLine line) {
  const auto match = find_command(command_words(line));
  if (!match) return fail(match.error());
  const auto& command = *match->command;
  auto& invocation = line.invocation;
  invocation.arguments = known_arguments(command, match->arguments);
  invocation.style = terminal_style();
  if (line.help) invocation.options.clear();
  if (auto good = check_usage(command, invocation); !good) return fail(good.error());
  if (invocation.netns) {
    if (auto entered = enter_network_namespace(*invocation.netns); !entered) {
      return fail(std::move(entered.error()).context("--netns"));
    }
  }
  return command.run(invocation);
}

int run_and_write(int argc, char** argv) {
  auto line = parse_command_line(argc, argv);
  if (!line) return report(line.error());
  const auto outcome = run(std::move(*line));
  if (!outcome) return report(outcome.error());
  const auto& secret = outcome->secret;
  const auto written = write_stdout(secret ? std::string_view(secret->chars().data(), secret->chars().size())
                                           : std::string_view(outcome->output));
  return written ? outcome->code : report(written.error());
}

}  // namespace
}  // namespace sheath::cli

int main(int argc, char** argv) {
  sheath::cli::guard_standard_streams();
  // A reader that went away shows as EPIPE.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return sheath::cli::run_and_write(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return sheath::cli::kFailed;
  }
}
