// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/metrics.hpp"

#include "loader/cli/commands.hpp"

namespace sheath::cli {
namespace {

Result<Outcome> run_metrics(const Invocation& invocation) {
  if (invocation.json())
    return fail(Error::misuse("metrics are text: `sheath status -o json` is the same for scripts"));
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  auto input = agent::observe_metrics(loaded->config);
  if (!input) return fail(std::move(input.error()));
  if (const auto answer = agent::ask_agent(loaded->config.paths.run, agent::Request::kStatus)) {
    auto report = agent::parse_report(*answer);
    if (report) input->agent = std::move(*report);
  }
  return Outcome{agent::metrics_text(*input)};
}

}  // namespace

Command metrics_command() {
  return {.name = "metrics",
          .summary = "this node's metrics, in Prometheus' text format",
          .arguments = "",
          .details =
              "The same text that the agent answers at http://127.0.0.1:9964/metrics (metrics.listen) and writes\n"
              "to metrics.textfile. Works without an agent: all but its own comes from kernel, pins and run folder.",
          .options = {},
          .examples = {{"sheath metrics", ""}, {"sheath metrics | promtool check metrics", ""}},
          .run = run_metrics};
}

}  // namespace sheath::cli
