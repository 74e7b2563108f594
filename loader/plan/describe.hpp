// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "loader/plan/step.hpp"

namespace sheath::plan {

// A step for people and for machines.
struct StepDescription {
  std::string action;  // "attach", "set-tunnel-peer", ...: stable, for scripts
  std::string text;    // one line: "attach uplink_egress to eth0 (strict, tunnel cilium_wg0)"
  // What the action is about, by name, in a fixed order: {"program", "uplink_egress"}, {"device", "eth0"}, ...
  std::vector<std::pair<std::string, std::string>> fields;
};

// `names` gives peers their node names; without one, the ID or key stands alone.
StepDescription describe(const Step& step, const Names& names = {});

// The whole plan as a JSON array of objects {"action", "text", fields...}.
std::string plan_json(const Plan& plan, const Names& names = {});

}  // namespace sheath::plan
