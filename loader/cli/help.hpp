// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "loader/cli/command.hpp"

namespace sheath::cli {

// All commands and options.
std::string overview();
std::string command_help(const Command& command);

}  // namespace sheath::cli
