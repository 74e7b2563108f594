// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "loader/engine/status.hpp"

namespace sheath::engine {

// Why something is not encrypted, or not delivered, that should be: a line each. Pure. `uplinks`: those that should
// carry our programs.
std::vector<std::string> find_problems(const Status& status, const std::vector<std::string>& uplinks);

}  // namespace sheath::engine
