// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/base/result.hpp"
#include "loader/state/load_config.hpp"

namespace sheath::agent {

// Keeps this node (this thread's network namespace) as configuration and node objects ask for, until SIGTERM or SIGINT;
// encryption stays when it ends. Returns at once, with the reason, when it cannot begin: a configuration that is wrong
// (a misuse), or another agent on this node. From then on nothing ends it: what fails is said, and tried again.
Result<> run_agent(const state::ConfigSources& sources);

}  // namespace sheath::agent
