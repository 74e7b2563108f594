// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "loader/plan/facts.hpp"
#include "loader/plan/standing.hpp"
#include "loader/state/cluster_index.hpp"
#include "loader/state/config.hpp"
#include "loader/state/good_nodes.hpp"
#include "loader/state/node_source.hpp"

// A round about a few nodes: what an agent does when nothing has changed but some node objects, so that one more node
// costs the same in a cluster of fifty and of five thousand.
namespace sheath::engine {

// What the last round over everything left: it found all done, or did it.
struct Memory {
  plan::Facts facts;
  state::Node own;
  state::ClusterIndex index;  // of the whole cluster
  plan::Standing standing;
};

// Whether rounds about a few nodes can be had with this configuration at all (see plan::Standing).
bool can_remember(const state::Config& config, const plan::Facts& facts, const state::Cluster& cluster);

// Some nodes that changed, and what follows. Holds on to what it was made from.
struct Few {
  state::GoodNodes::Update update;
  std::vector<state::Node> before;  // those of them that were there
  std::vector<state::Node> after;   // those that are
  plan::Desired desired;
  plan::Plan plan;
};

// nullopt: everything has to be looked at. So it is when this node itself is among them, when they contradict the
// others or each other, and when anything would have to be done but about these peers. Changes nothing.
std::optional<Few> plan_few(const state::Config& config, const Memory& memory, const state::GoodNodes& good,
                            std::span<const state::ChangedFile> files);

// The plan was done.
void remember(const Few& few, Memory& memory);

}  // namespace sheath::engine
