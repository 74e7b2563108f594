// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/commands.hpp"
#include "loader/cli/plan_view.hpp"
#include "loader/engine/engine.hpp"
#include "loader/state/value_parsers.hpp"

namespace sheath::cli {
namespace {

Result<engine::ApplyOptions> read_options(const Invocation& invocation) {
  engine::ApplyOptions options{.dry_run = invocation.has("dry-run"), .wait = {}};
  if (!invocation.has("wait")) return options;
  if (options.dry_run) return fail(Error::misuse("--dry-run and --wait exclude each other"));
  const auto wait = state::parse_duration(invocation.options.find("wait")->second);
  if (!wait) return fail(Error(wait.error()).context("--wait"));
  options.wait = *wait;
  return options;
}

ExitCode code_of(const engine::Report& report, bool waited_in_vain) {
  if (!report.failures.empty()) return kFailed;
  return waited_in_vain ? kDegraded : kDone;
}

Result<Outcome> run_apply(const Invocation& invocation) {
  const auto options = read_options(invocation);
  if (!options) return fail(options.error());
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  if (auto supported = state::check_supported(*loaded); !supported) return fail(supported.error());
  const auto report = engine::apply(loaded->config, *options);
  if (!report) return fail(report.error());
  for (const auto& warning : report->warnings) warn(warning);
  const bool waited_in_vain = invocation.has("wait") && !report->settled;
  if (waited_in_vain && !report->waiting_for_key.empty())
    warn("no key in time from: " + joined(report->waiting_for_key));
  for (const auto& wait : report->waits) warn(wait);
  for (const auto& failure : report->failures) complain(failure.error);
  return Outcome{report_text(*report, {options->dry_run, invocation.json()}), code_of(*report, waited_in_vain)};
}

}  // namespace

Command apply_command() {
  return {
      .name = "apply",
      .summary = "brings this node to what the configuration and the node objects ask for",
      .arguments = "",
      .details =
          "Compares what should be with what is, and does the difference, in an order in which no packet leaves\n"
          "in the clear at any moment. A second time it finds nothing to do. It may be killed at any moment: the\n"
          "next one goes on from there. Bad input is found before the first change.",
      .options =
          {{"dry-run", "", "print the steps and change nothing"},
           {"wait", "DURATION",
            "stay until every peer has a key and a rotation has ended; exit code 3 when the time (30s, 5m) is over"}},
      .examples = {{"sheath apply", ""},
                   {"sheath apply --dry-run", "what would be done"},
                   {"sheath apply --wait 2m", "when all nodes of a cluster start at once"},
                   {"sheath apply --mode permissive", "while not all nodes run Sheath yet"}},
      .run = run_apply};
}

}  // namespace sheath::cli
