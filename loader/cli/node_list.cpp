// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "loader/cli/cluster_input.hpp"
#include "loader/cli/commands.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string key_text(const state::Node& node) {
  return node.wireguard_key ? node.wireguard_key->text() : "none";
}

Json node_json(const state::Node& node, bool local) {
  return {{"name", node.name},
          {"local", local},
          {"node_ips", texts(node.node_ips)},
          {"pod_cidrs", texts(node.pod_cidrs)},
          {"wireguard_public_key", node.wireguard_key ? Json(node.wireguard_key->text()) : Json()},
          {"labels", node.labels}};
}

std::string nodes_text(const state::Cluster& nodes, const std::string& local) {
  Table table({{"NAME"}, {"NODE IPS"}, {"POD CIDRS"}, {"WIREGUARD KEY"}});
  for (const auto& [name, node] : nodes) {
    table.add({name == local ? name + " (this node)" : name, joined(texts(node.node_ips)),
               joined(texts(node.pod_cidrs)), key_text(node)});
  }
  return table.text();
}

Result<Outcome> run_node_list(const Invocation& invocation) {
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  const auto cluster = read_cluster(loaded->config);
  if (!cluster) return fail(cluster.error());
  const auto& local = loaded->config.node_name;
  if (!invocation.json()) {
    if (cluster->nodes.empty()) warn("no nodes in " + loaded->config.nodes.path.string());
    return Outcome{nodes_text(cluster->nodes, local)};
  }
  Json list = Json::array();
  for (const auto& [name, node] : cluster->nodes) list.push_back(node_json(node, name == local));
  return Outcome{json_text(list)};
}

}  // namespace

Command node_list_command() {
  return {.name = "node list",
          .summary = "the cluster's nodes, as their objects describe them",
          .arguments = "",
          .details =
              "Reads the node objects (config key nodes.path), merges those of one name and checks that no two nodes\n"
              "contradict each other. Asks nothing of the kernel and needs no privileges.",
          .options = {},
          .examples = {{"sheath node list", ""},
                       {"sheath node list --nodes-path ./nodes -o json", "of another folder, as JSON"}},
          .run = run_node_list};
}

}  // namespace sheath::cli
