// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/cli/command.hpp"

namespace sheath::cli {

// Each in the file of its name.
Command apply_command();
Command agent_command();
Command unload_command();
Command status_command();
Command encrypt_status_command();
Command verify_command();
Command monitor_command();
Command metrics_command();
Command key_generate_command();
Command key_rotate_command();
Command key_inspect_command();
Command node_list_command();
Command endpoint_list_command();
Command map_list_command();
Command map_dump_command();
Command config_view_command();
Command config_check_command();
Command version_command();
Command help_command();

// All of them, in the order in which help shows them.
std::span<const Command> commands();

// The command that `words` begin with; what is left are its arguments.
struct Match {
  const Command* command = nullptr;
  std::vector<std::string> arguments;
};

// A misuse, with the nearest name as hint, when there is none.
Result<Match> find_command(std::span<const std::string> words);

}  // namespace sheath::cli
