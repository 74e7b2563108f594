// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/status.hpp"

#include "loader/cli/commands.hpp"
#include "loader/cli/status_view.hpp"

namespace sheath::cli {
namespace {

Result<Outcome> run_status(const Invocation& invocation) {
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  const auto status = engine::observe_status(loaded->config);
  if (!status) return fail(status.error());
  const auto code = status->problems.empty() ? kDone : kDegraded;
  return Outcome{invocation.json() ? status_json(*status, loaded->config.node_name)
                                   : status_text(*status, loaded->config.node_name, invocation.style),
                 code};
}

}  // namespace

Command status_command() {
  return {
      .name = "status",
      .summary = "what runs on this node, and what is wrong with it",
      .arguments = "",
      .details =
          "Asks the kernel: the pinned maps, the attached programs, the tunnel device. The configuration says only\n"
          "where the pins are and which uplinks should be covered; the node objects give peers their names, if\n"
          "they can be read. Exit code 3 when something is not encrypted that should be: the reasons stand at\n"
          "the end.",
      .options = {},
      .examples = {{"sheath status", ""},
                   {"sheath status -o json", "for scripts"},
                   {"sheath status --netns node1 --bpffs /sys/fs/bpf/node1", "of a node that lives in a namespace"}},
      .run = run_status};
}

}  // namespace sheath::cli
