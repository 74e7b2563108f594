// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/agent.hpp"

#include "loader/cli/commands.hpp"

namespace sheath::cli {
namespace {

Result<Outcome> run_agent(const Invocation& invocation) {
  if (auto done = agent::run_agent(invocation.config); !done) return fail(std::move(done.error()));
  return Outcome{};
}

}  // namespace

Command agent_command() {
  return {
      .name = "agent",
      .summary = "stays, and keeps this node right",
      .arguments = "",
      .details =
          "Does what `sheath apply` does, again on every change: of node objects, key file, configuration, links,\n"
          "addresses, routes, IPsec states; and each agent.resync, to mend what nobody told of. A node object that\n"
          "is wrong stays as it last was, and stops nobody else's. What fails is tried again, later each time.\n"
          "SIGHUP reads the configuration again; SIGTERM ends it, and encryption stays as it is: `sheath unload`\n"
          "takes it away. `sheath status` says how the agent is, `sheath metrics` what it tells Prometheus.",
      .options = {},
      .examples = {{"sheath agent", "as the systemd unit runs it"},
                   {"sheath agent --agent-resync 10s", "mends within ten seconds what nobody told of"}},
      .run = run_agent};
}

}  // namespace sheath::cli
