// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "loader/agent/report.hpp"
#include "loader/engine/lock.hpp"
#include "loader/state/config.hpp"

namespace sheath::cli {

// The agent of this node, if there is one.
struct AgentView {
  engine::ProcessLock::Holder holder;
  std::optional<agent::AgentReport> report;
  std::string silence;  // why there is no report of one that runs
};

AgentView look_at_agent(const state::Config& config);

// One line: "process 4711, looked 3s ago: all done".
std::string agent_text(const AgentView& agent);
nlohmann::ordered_json agent_json(const AgentView& agent);

}  // namespace sheath::cli
