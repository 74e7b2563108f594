// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "loader/agent/report.hpp"
#include "loader/engine/encrypt_status.hpp"
#include "loader/engine/status.hpp"

namespace sheath::agent {

struct MetricsInput {
  engine::Status status;
  std::optional<engine::EncryptStatus> keys;  // with IPsec
  std::optional<AgentReport> agent;           // absent: none runs
};

// The node as it is, from kernel, pins and run folder.
Result<MetricsInput> observe_metrics(const state::Config& config);

// All metrics in Prometheus' text format. Pure.
std::string metrics_text(const MetricsInput& input);

}  // namespace sheath::agent
