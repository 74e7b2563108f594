// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/status.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "loader/cli/agent_view.hpp"
#include "loader/cli/commands.hpp"
#include "loader/cli/status_view.hpp"

namespace sheath::cli {
namespace {

constexpr std::chrono::seconds kWatchEvery{2};
// Home, and everything below it cleared: ECMA-48.
constexpr const char* kClear = "\x1b[H\x1b[J";

Result<Outcome> look(const Invocation& invocation) {
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  auto status = engine::observe_status(loaded->config);
  if (!status) return fail(status.error());
  const auto agent = look_at_agent(loaded->config);
  if (agent.report) std::ranges::copy(agent_problems(*agent.report), std::back_inserter(status->problems));
  const auto code = status->problems.empty() ? kDone : kDegraded;
  return Outcome{invocation.json() ? status_json(*status, agent, loaded->config.node_name)
                                   : status_text(*status, agent, loaded->config.node_name, invocation.style),
                 code};
}

// One line of JSON each time, or a screen that is written over.
std::string frame(const Invocation& invocation, const std::string& output) {
  if (invocation.json()) return nlohmann::ordered_json::parse(output).dump() + "\n";
  return (isatty(STDOUT_FILENO) != 0 ? kClear : "") + output + "\n";
}

// Waits that long, unless whoever reads our output goes away.
bool reader_gone_within(std::chrono::milliseconds time) {
  pollfd output{STDOUT_FILENO, 0, 0};
  return poll(&output, 1, static_cast<int>(time.count())) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

// Until a signal ends it, or nobody reads.
Result<Outcome> watch(const Invocation& invocation) {
  for (;;) {
    auto outcome = look(invocation);
    if (!outcome) return outcome;
    if (auto written = write_stdout(frame(invocation, outcome->output)); !written) return fail(written.error());
    if (reader_gone_within(kWatchEvery)) return Outcome{"", outcome->code};
  }
}

Result<Outcome> run_status(const Invocation& invocation) {
  return invocation.has("watch") ? watch(invocation) : look(invocation);
}

}  // namespace

Command status_command() {
  return {
      .name = "status",
      .summary = "what runs on this node, and what is wrong with it",
      .arguments = "",
      .details =
          "Asks the kernel: the pinned maps, the attached programs, the tunnel device; and the agent, if one runs,\n"
          "how it is. The configuration says only\n"
          "where the pins are and which uplinks should be covered; the node objects give peers their names, if\n"
          "they can be read. Exit code 3 when something is not encrypted that should be: the reasons stand at\n"
          "the end.",
      .options = {{"watch", "", "again every two seconds, until Ctrl-C; with -o json a line each time"}},
      .examples = {{"sheath status", ""},
                   {"sheath status --watch", "while something is on its way"},
                   {"sheath status -o json", "for scripts"},
                   {"sheath status --netns node1 --bpffs /sys/fs/bpf/node1", "of a node that lives in a namespace"}},
      .run = run_status};
}

}  // namespace sheath::cli
