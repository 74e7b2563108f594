// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "loader/engine/engine.hpp"

namespace sheath::cli {

struct ReportView {
  bool dry_run = false;
  bool json = false;
};

// What was done, or would be: a line per step, numbered from 0, then a summary; or one JSON object.
std::string report_text(const engine::Report& report, ReportView view);

}  // namespace sheath::cli
