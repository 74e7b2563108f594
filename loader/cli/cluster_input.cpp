// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/cluster_input.hpp"

#include "loader/state/merge.hpp"
#include "loader/state/node_source.hpp"

namespace sheath::cli {
namespace {

state::Node own_node(const state::Config& config, const state::Cluster& merged) {
  const auto found = merged.find(config.node_name);
  auto own = found == merged.end() ? state::Node{} : found->second;
  own.name = config.node_name;
  if (!config.node_ips.empty()) own.node_ips = config.node_ips;
  if (!config.pod_cidrs.empty()) own.pod_cidrs = config.pod_cidrs;
  return own;
}

}  // namespace

Result<state::ClusterState> read_cluster(const state::Config& config) {
  const auto source = state::make_node_source(config);
  if (!source) return fail(source.error());
  const auto objects = (*source)->read();
  if (!objects) return fail(objects.error());
  const auto merged = state::merge_objects(*objects);
  if (!merged) return fail(merged.error());
  const auto own = own_node(config, *merged);
  const bool unknown = own.node_ips.empty() && own.pod_cidrs.empty() && !merged->contains(own.name);
  if (!unknown) return state::make_cluster(config, *objects, own);
  // The machine this runs on is no part of the cluster that is looked at.
  if (merged->empty()) return state::ClusterState{};
  return state::make_cluster(config, *objects, merged->begin()->second);
}

}  // namespace sheath::cli
