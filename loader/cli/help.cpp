// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/help.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "loader/cli/arguments.hpp"
#include "loader/cli/commands.hpp"
#include "loader/state/config_keys.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Row {
  std::string left;
  std::string right;
};

// Two columns, indented by two.
std::string rows_text(const std::vector<Row>& rows) {
  std::size_t width = 0;
  for (const auto& row : rows) width = std::max(width, row.left.size());
  std::string out;
  for (const auto& row : rows) {
    const std::string gap(row.right.empty() ? 0 : width - row.left.size() + 2, ' ');
    out += "  " + row.left + gap + row.right + "\n";
  }
  return out;
}

std::string option_left(std::string_view name, std::string_view value_name) {
  return "--" + std::string(name) + (value_name.empty() ? "" : " " + std::string(value_name));
}

std::string config_flag_left(const state::ConfigKey& key) {
  const auto name = "--" + std::string(key.flag);
  switch (key.shape) {
    case state::ValueShape::kBool:
      return name + "[=" + std::string(key.value_name) + "]";
    case state::ValueShape::kList:
      return name + " " + std::string(key.value_name) + ",...";
    case state::ValueShape::kText:
    case state::ValueShape::kNumber:
      break;
  }
  return name + " " + std::string(key.value_name);
}

std::vector<Row> option_rows(const std::vector<CommandOption>& options) {
  std::vector<Row> rows;
  for (const auto& option : options)
    rows.push_back({option_left(option.name, option.value_name), std::string(option.help)});
  return rows;
}

std::string usage(const Command& command) {
  std::string out = "sheath " + std::string(command.name);
  if (!command.arguments.empty()) out += " " + std::string(command.arguments);
  return out + " [OPTION...]";
}

Json command_json(const Command& command) {
  Json options = Json::array();
  for (const auto& option : command.options) {
    options.push_back({{"name", option.name}, {"value", option.value_name}, {"help", option.help}});
  }
  Json examples = Json::array();
  for (const auto& example : command.examples) {
    examples.push_back({{"command", example.command}, {"what", example.what}});
  }
  return {{"name", command.name},       {"summary", command.summary}, {"usage", usage(command)},
          {"details", command.details}, {"options", options},         {"examples", examples}};
}

Json all_json() {
  Json list = Json::array();
  for (const auto& command : commands()) list.push_back(command_json(command));
  return list;
}

// "sheath help node" names a group: each of its commands in a line.
Result<Outcome> group_help(const Invocation& invocation) {
  const auto prefix = invocation.arguments[0] + " ";
  std::vector<Row> rows;
  for (const auto& command : commands()) {
    if (command.name.starts_with(prefix)) rows.push_back({std::string(command.name), std::string(command.summary)});
  }
  return Outcome{rows_text(rows)};
}

// What stands in no command's own help: the options of all, and the configuration.
Outcome configuration_help(const Invocation& invocation) {
  Json options = Json::array();
  for (const auto& option : global_options())
    options.push_back({{"name", option.name}, {"value", option.value_name}, {"help", option.help}});
  Json keys = Json::array();
  Table table({{"KEY"}, {"OPTION"}, {"DEFAULT"}, {"MEANING"}});
  for (const auto& key : state::config_keys()) {
    const auto fallback = state::default_text(key);
    table.add({std::string(key.path), "--" + std::string(key.flag), fallback, std::string(key.help)});
    keys.push_back(
        {{"key", key.path}, {"flag", key.flag}, {"value", key.value_name}, {"default", fallback}, {"help", key.help}});
  }
  return {invocation.json() ? json_text({{"options", options}, {"keys", keys}}) : table.text()};
}

Result<Outcome> run_help(const Invocation& invocation) {
  if (invocation.arguments == std::vector<std::string>{"configuration"}) return configuration_help(invocation);
  if (invocation.arguments.empty()) return Outcome{invocation.json() ? json_text(all_json()) : overview()};
  const auto match = find_command(invocation.arguments);
  if (!match) {
    const auto is_group = std::ranges::any_of(
        commands(), [&](const Command& command) { return command.name.starts_with(invocation.arguments[0] + " "); });
    return is_group && invocation.arguments.size() == 1 ? group_help(invocation) : Result<Outcome>(fail(match.error()));
  }
  const auto& command = *match->command;
  return Outcome{invocation.json() ? json_text(command_json(command)) : command_help(command)};
}

}  // namespace

std::string overview() {
  std::vector<Row> list;
  for (const auto& command : commands()) list.push_back({std::string(command.name), std::string(command.summary)});
  std::vector<Row> flags;
  for (const auto& key : state::config_keys()) flags.push_back({config_flag_left(key), std::string(key.help)});
  return "Sheath encrypts pod and node traffic between the nodes of a cluster.\n\n"
         "Usage: sheath COMMAND [OPTION...]\n\n"
         "Commands:\n" +
         rows_text(list) + "\nOptions, before or behind the command:\n" + rows_text(option_rows(global_options())) +
         "\nEvery key of the configuration is an option too, and wins over the file:\n" + rows_text(flags) +
         "\nExit codes: 0 done, 1 failed, 2 misuse, 3 degraded (something is not encrypted that should be).\n"
         "`sheath help COMMAND` has the details and examples.\n";
}

std::string command_help(const Command& command) {
  std::string out = "Usage: " + usage(command) + "\n\n" + std::string(command.details) + "\n";
  if (!command.options.empty()) out += "\nOptions:\n" + rows_text(option_rows(command.options));
  std::vector<Row> examples;
  for (const auto& example : command.examples)
    examples.push_back({std::string(example.command), std::string(example.what)});
  if (!examples.empty()) out += "\nExamples:\n" + rows_text(examples);
  return out + "\n`sheath help` lists the options that every command has.\n";
}

Command help_command() {
  return {.name = "help",
          .summary = "what a command does, with examples",
          .arguments = "[COMMAND]",
          .max_arguments = 2,
          .details = "Shows all commands and options, or one command's; or the configuration, with its defaults.",
          .options = {},
          .examples = {{"sheath help apply", "options and examples of apply"},
                       {"sheath help map", "the commands about maps"},
                       {"sheath help configuration", "every key of the configuration"}},
          .run = run_help};
}

}  // namespace sheath::cli
