// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/arguments.hpp"

#include <algorithm>
#include <cxxopts.hpp>

#include "loader/cli/commands.hpp"
#include "loader/state/config_keys.hpp"
#include "loader/state/nearest.hpp"

namespace sheath::cli {
namespace {

// Options of commands, each name once: two commands may share one.
std::vector<CommandOption> command_options() {
  std::vector<CommandOption> options;
  for (const auto& command : commands()) {
    for (const auto& option : command.options) {
      if (std::ranges::find(options, option.name, &CommandOption::name) == options.end()) options.push_back(option);
    }
  }
  return options;
}

std::shared_ptr<cxxopts::Value> text_value() {
  return cxxopts::value<std::string>();
}

// An option that may stand alone.
std::shared_ptr<cxxopts::Value> switch_value() {
  return cxxopts::value<std::string>()->implicit_value("");
}

void add_options(cxxopts::Options& options) {
  auto add = options.add_options();
  add("config", "", text_value())("netns", "", text_value())("o,output", "", text_value());
  add("h,help", "", switch_value())("version", "", switch_value());
  for (const auto& key : state::config_keys()) {
    add(std::string(key.flag), "", key.shape == state::ValueShape::kBool ? switch_value() : text_value());
  }
  for (const auto& option : command_options()) {
    add(std::string(option.name), "", option.value_name.empty() ? switch_value() : text_value());
  }
}

std::vector<std::string> option_names() {
  std::vector<std::string> names;
  for (const auto& option : global_options()) names.emplace_back(option.name);
  for (const auto& key : state::config_keys()) names.emplace_back(key.flag);
  for (const auto& option : command_options()) names.emplace_back(option.name);
  return names;
}

Error unknown_option(std::string_view option) {
  const auto shown = std::string(option.substr(0, option.find('=')));
  const auto names = option_names();
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  const auto nearest = state::nearest_name(std::string_view(shown).substr(shown.find_first_not_of('-')), candidates);
  auto error = Error::misuse("unknown option " + shown);
  if (nearest.empty()) return std::move(error).hint("`sheath help` lists them");
  return std::move(error).hint("did you mean --" + std::string(nearest) + "?");
}

// cxxopts quotes the option's name in its message: “Option ‘mode’ is missing an argument”.
Error missing_value(std::string_view message) {
  constexpr std::string_view kOpen = "‘";
  constexpr std::string_view kClose = "’";
  const auto start = message.find(kOpen);
  const auto end = message.find(kClose);
  if (start == std::string_view::npos || end == std::string_view::npos) return Error::misuse(std::string(message));
  const auto name = message.substr(start + kOpen.size(), end - start - kOpen.size());
  return Error::misuse((name.size() == 1 ? "-" : "--") + std::string(name) + " needs a value");
}

Result<Format> parse_format(std::string_view text) {
  if (text == "text") return Format::kText;
  if (text == "json") return Format::kJson;
  return fail(Error::misuse("--output: \"" + std::string(text) + "\" is none of: text, json"));
}

Result<> take(CommandLine& line, const std::string& name, const std::string& value) {
  auto& invocation = line.invocation;
  if (name == "help") {
    line.help = true;
  } else if (name == "version") {
    line.version = true;
  } else if (name == "config") {
    invocation.config.file = value;
  } else if (name == "netns") {
    invocation.netns = value;
  } else if (name == "output") {
    const auto format = parse_format(value);
    if (!format) return fail(format.error());
    invocation.format = *format;
  } else if (state::find_config_flag(name) != nullptr) {
    invocation.config.flags.push_back({name, value});
  } else {
    invocation.options[name] = value;
  }
  return {};
}

Result<CommandLine> take_all(const cxxopts::ParseResult& parsed) {
  CommandLine line;
  for (const auto& word : parsed.unmatched()) {
    if (word.starts_with('-') && word.find_first_not_of('-') != std::string::npos) return fail(unknown_option(word));
    line.words.push_back(word);
  }
  for (const auto& option : parsed.arguments()) {
    if (auto taken = take(line, option.key(), option.value()); !taken) return fail(taken.error());
  }
  return line;
}

}  // namespace

const std::vector<CommandOption>& global_options() {
  static const std::vector<CommandOption> kOptions{
      {"config", "FILE", "configuration; default: /etc/sheath/config.yaml, if there is one"},
      {"netns", "NAME", "work in this network namespace, as `ip netns` names it"},
      {"output", "text|json", "how data is written, also -o; default: text"},
      {"help", "", "what a command does, also -h"},
      {"version", "", "the version of this binary"},
  };
  return kOptions;
}

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
  // Words are what cxxopts does not match: its own positional lists would split them at commas.
  cxxopts::Options options("sheath");
  options.allow_unrecognised_options();
  add_options(options);
  try {
    return take_all(options.parse(argc, argv));
  } catch (const cxxopts::exceptions::missing_argument& error) {
    return fail(missing_value(error.what()));
  } catch (const cxxopts::exceptions::exception& error) {
    return fail(Error::misuse(error.what()));
  }
}

Result<> check_usage(const Command& command, const Invocation& invocation) {
  const auto name = "sheath " + std::string(command.name);
  for (const auto& [option, value] : invocation.options) {
    if (std::ranges::find(command.options, option, &CommandOption::name) != command.options.end()) continue;
    return fail(Error::misuse("`" + name + "` has no option --" + option).hint("see `" + name + " --help`"));
  }
  const auto count = invocation.arguments.size();
  if (count < command.min_arguments) {
    return fail(Error::misuse("`" + name + "` needs " + std::string(command.arguments)));
  }
  if (count > command.max_arguments) {
    return fail(
        Error::misuse("`" + name + "`: unexpected argument \"" + invocation.arguments[command.max_arguments] + "\"")
            .hint("see `" + name + " --help`"));
  }
  return {};
}

}  // namespace sheath::cli
