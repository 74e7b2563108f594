// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "loader/cli/output.hpp"
#include "loader/verify/judge.hpp"

namespace sheath::cli {

// A line for each peer, then what is wrong, then the conclusion. Findings of one peer stand together.
std::string verify_text(const std::vector<verify::Finding>& findings, const Style& style);
std::string verify_json(const std::string& node, const std::vector<verify::Finding>& findings);

}  // namespace sheath::cli
