// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>

#include "loader/base/result.hpp"
#include "loader/engine/engine.hpp"
#include "loader/engine/executor.hpp"
#include "loader/engine/situation.hpp"
#include "loader/plan/desired.hpp"

// Once around: look, plan, do. Private to this folder; the caller holds the node's lock.
namespace sheath::engine {

Result<plan::Desired> decide(const Session& session, const Situation& now);

// Over everything. `steps_done` counts on.
Result<Report> go_round(Session& session, std::size_t steps_done);

// Over a few nodes. nullopt: that is not possible now, and nothing was changed.
Result<std::optional<Report>> go_small_round(Session& session, const std::set<std::string>& changed_files);

// Does the plan of the report, into it.
Result<> run(Executor& executor, const Cuts& cuts, Report& report);

}  // namespace sheath::engine
