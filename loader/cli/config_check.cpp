// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "loader/cli/cluster_input.hpp"
#include "loader/cli/commands.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Counts {
  std::size_t nodes = 0;
  std::size_t without_key = 0;
  std::size_t pod_cidrs = 0;
};

Counts count(const state::Cluster& nodes) {
  Counts counts{.nodes = nodes.size()};
  for (const auto& [name, node] : nodes) {
    counts.pod_cidrs += node.pod_cidrs.size();
    if (!node.wireguard_key) ++counts.without_key;
  }
  return counts;
}

// What apply would refuse although the objects are in order.
std::vector<std::string> own_warnings(const state::Config& config, const state::Cluster& nodes) {
  const auto own = nodes.find(config.node_name);
  if (own != nodes.end() && !own->second.pod_cidrs.empty()) return {};
  return {"this node, " + config.node_name + ", has no pod CIDR: `sheath apply` will ask for one"};
}

std::string file_text(const state::LoadedConfig& loaded) {
  return loaded.file.empty() ? "defaults and flags" : loaded.file.string();
}

std::string ok_text(const state::LoadedConfig& loaded, const Counts& counts) {
  std::string out =
      "ok: " + file_text(loaded) + "; " + loaded.config.nodes.path.string() + ": " + counted(counts.nodes, "node");
  if (counts.without_key > 0) out += " (" + std::to_string(counts.without_key) + " without key)";
  return out + ", " + counted(counts.pod_cidrs, "pod CIDR") + "\n";
}

Result<Outcome> run_config_check(const Invocation& invocation) {
  auto sources = invocation.config;
  if (!invocation.arguments.empty()) sources.file = invocation.arguments[0];
  const auto loaded = state::load_config(sources);
  if (!loaded) return fail(loaded.error());
  if (auto supported = state::check_supported(*loaded); !supported) return fail(supported.error());
  const auto cluster = read_cluster(loaded->config);
  if (!cluster) return fail(cluster.error());
  auto warnings = cluster->warnings;
  std::ranges::copy(own_warnings(loaded->config, cluster->nodes), std::back_inserter(warnings));
  for (const auto& warning : warnings) warn(warning);
  const auto counts = count(cluster->nodes);
  if (!invocation.json()) return Outcome{ok_text(*loaded, counts)};
  return Outcome{json_text({{"ok", true},
                            {"file", loaded->file.empty() ? Json() : Json(loaded->file.string())},
                            {"nodes", counts.nodes},
                            {"nodes_without_key", counts.without_key},
                            {"pod_cidrs", counts.pod_cidrs},
                            {"warnings", warnings}})};
}

}  // namespace

Command config_check_command() {
  return {.name = "config check",
          .summary = "checks the configuration and the node objects",
          .arguments = "[FILE]",
          .max_arguments = 1,
          .details =
              "Reads the configuration (FILE, else that of --config) and all node objects, and says `ok` with\n"
              "what it found, or the first error with its file, line and reason (exit code 2). Warnings are\n"
              "about what is allowed and yet incomplete. Changes nothing and needs no privileges.",
          .options = {},
          .examples = {{"sheath config check", ""},
                       {"sheath config check ./config.yaml --nodes-path ./nodes", "before copying them to a node"}},
          .run = run_config_check};
}

}  // namespace sheath::cli
