// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/few.hpp"

#include <algorithm>

#include "loader/plan/desired.hpp"
#include "loader/plan/planner.hpp"
#include "loader/state/cluster.hpp"

namespace sheath::engine {
namespace {

bool announces_encryption(const state::Node& node) {
  return node.node_encryption == true;
}

// This node and these others by what is said of them, once the update is taken; those that nothing is said of are not
// there.
Result<state::Cluster> cluster_of(const std::set<std::string>& names, const state::Config& config, const Memory& memory,
                                  const state::GoodNodes& good, const state::GoodNodes::Update& update) {
  std::vector<state::NodeObject> objects;
  for (const auto& name : names) std::ranges::move(good.objects_of(name, update), std::back_inserter(objects));
  auto made = state::make_cluster(config, objects, memory.own);
  if (!made) return fail(std::move(made.error()));
  return std::move(made->nodes);
}

// Whether they make a cluster with all others.
bool fit_in(const state::Cluster& changed, const Memory& memory, const std::set<std::string>& names) {
  return std::ranges::all_of(changed, [&](const auto& entry) {
    const auto& [name, node] = entry;
    return name == memory.own.name || (!announces_encryption(node) && memory.index.admits(node, names));
  });
}

std::vector<const state::Node*> all_of(const Memory& memory, const Few& few) {
  std::vector<const state::Node*> out{&memory.own};
  for (const auto& node : few.before) out.push_back(&node);
  for (const auto& node : few.after) out.push_back(&node);
  return out;
}

}  // namespace

bool can_remember(const state::Config& config, const plan::Facts& facts, const state::Cluster& cluster) {
  return config.encryption == state::Encryption::kWireguard && config.routing == state::Routing::kNative &&
         !config.node_encryption && facts.routes.empty() &&
         std::ranges::none_of(cluster, [](const auto& entry) { return announces_encryption(entry.second); });
}

std::optional<Few> plan_few(const state::Config& config, const Memory& memory, const state::GoodNodes& good,
                            std::span<const state::ChangedFile> files) {
  auto update = good.compare(files);
  if (!update || update->nodes.contains(config.node_name)) return std::nullopt;
  const auto old = cluster_of(update->nodes, config, memory, good, {});
  auto cluster = cluster_of(update->nodes, config, memory, good, *update);
  if (!old || !cluster || !fit_in(*cluster, memory, update->nodes)) return std::nullopt;

  Few few;
  few.update = std::move(*update);
  for (const auto& name : few.update.nodes) {
    if (const auto found = old->find(name); found != old->end()) few.before.push_back(found->second);
    if (const auto found = cluster->find(name); found != cluster->end()) few.after.push_back(found->second);
  }
  const auto nodes = all_of(memory, few);
  const auto actual = memory.standing.about(nodes, config.cluster_pod_cidrs);
  auto desired = plan::build_desired({config, *cluster, memory.facts, actual, actual.publication, std::nullopt, false,
                                      nullptr, &memory.standing.ids_in_use()});
  if (!desired || !plan::keep_lengths(actual, *desired)) return std::nullopt;
  few.desired = std::move(*desired);
  few.plan = plan::make_plan(few.desired, actual);
  if (!plan::is_about_peers(few.plan)) return std::nullopt;
  return few;
}

void remember(const Few& few, Memory& memory) {
  memory.standing.absorb(all_of(memory, few), few.desired);
  for (const auto& node : few.before) memory.index.remove(node);
  for (const auto& node : few.after) memory.index.add(node);
}

}  // namespace sheath::engine
