// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/commands.hpp"
#include "loader/cli/plan_view.hpp"
#include "loader/engine/engine.hpp"

namespace sheath::cli {
namespace {

Result<Outcome> run_unload(const Invocation& invocation) {
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  const bool dry_run = invocation.has("dry-run");
  const auto report = engine::unload(loaded->config, dry_run);
  if (!report) return fail(report.error());
  for (const auto& warning : report->warnings) warn(warning);
  return Outcome{report_text(*report, {dry_run, invocation.json()})};
}

}  // namespace

Command unload_command() {
  return {.name = "unload",
          .summary = "removes from this node what apply made",
          .arguments = "",
          .details =
              "Removes the programs, the tunnel device, the maps and the object that this node published; what is\n"
              "not ours stays, and so does the private key file. From then on traffic flows unencrypted.",
          .options = {{"dry-run", "", "print the steps and change nothing"}},
          .examples = {{"sheath unload", ""}, {"sheath unload --dry-run", "what would be removed"}},
          .run = run_unload};
}

}  // namespace sheath::cli
