// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/commands.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "loader/state/nearest.hpp"

namespace sheath::cli {
namespace {

std::string first_words(std::span<const std::string> words, std::size_t count) {
  std::string out;
  for (const auto& word : words.first(std::min(count, words.size()))) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::size_t word_count(std::string_view name) {
  return static_cast<std::size_t>(std::ranges::count(name, ' ')) + 1;
}

// The second words of the commands that begin with `group`: "list, dump" for map.
std::string members_of(std::string_view group) {
  std::string out;
  for (const auto& command : commands()) {
    if (!command.name.starts_with(std::string(group) + " ")) continue;
    out += (out.empty() ? "" : ", ") + std::string(command.name.substr(group.size() + 1));
  }
  return out;
}

Error unknown_command(std::span<const std::string> words) {
  if (words.empty()) return Error::misuse("no command given").hint("`sheath help` lists them");
  std::vector<std::string_view> names;
  for (const auto& command : commands()) names.push_back(command.name);
  const auto members = members_of(words[0]);
  if (words.size() == 1 && !members.empty()) {
    return Error::misuse("\"" + words[0] + "\" alone is no command").hint("it is followed by one of: " + members);
  }
  const auto name = first_words(words, members.empty() ? 1 : 2);
  auto hint = state::nearest_hint(name, names);
  return Error::misuse("unknown command \"" + name + "\"").hint(hint.empty() ? "`sheath help` lists them" : hint);
}

}  // namespace

std::span<const Command> commands() {
  static const std::array kCommands{
      apply_command(),          agent_command(),      unload_command(),      status_command(),
      encrypt_status_command(), verify_command(),     monitor_command(),     metrics_command(),
      key_generate_command(),   key_rotate_command(), key_inspect_command(), node_list_command(),
      endpoint_list_command(),  map_list_command(),   map_dump_command(),    config_view_command(),
      config_check_command(),   version_command(),    help_command(),
  };
  return kCommands;
}

Result<Match> find_command(std::span<const std::string> words) {
  for (const auto& command : commands()) {
    const auto count = word_count(command.name);
    if (words.size() < count || first_words(words, count) != command.name) continue;
    return Match{&command, {words.begin() + static_cast<std::ptrdiff_t>(count), words.end()}};
  }
  return fail(unknown_command(words));
}

void warn(std::string_view text) {
  std::fprintf(stderr, "warning: %.*s\n", static_cast<int>(text.size()), text.data());
}

void complain(const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.what().c_str());
  if (!error.hint().empty()) std::fprintf(stderr, "hint: %s\n", error.hint().c_str());
}

}  // namespace sheath::cli
