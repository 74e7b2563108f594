// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/commands.hpp"

namespace sheath::cli {
namespace {

Result<Outcome> run_config_view(const Invocation& invocation) {
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  return Outcome{invocation.json() ? state::config_json(*loaded) : state::config_yaml(*loaded)};
}

}  // namespace

Command config_view_command() {
  return {.name = "config view",
          .summary = "the configuration in force, and where each value comes from",
          .arguments = "",
          .details =
              "Shows every key with its value after file, flags and defaults. The text is a configuration that\n"
              "can be used again; the comment behind each key says where its value comes from.",
          .options = {},
          .examples = {{"sheath config view", ""},
                       {"sheath config view --mode permissive", "what a flag would change"},
                       {"sheath config view > config.yaml", "a file to start from"}},
          .run = run_config_view};
}

}  // namespace sheath::cli
