// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "loader/engine/digest_cache.hpp"
#include "loader/engine/ipsec_material.hpp"
#include "loader/plan/facts.hpp"
#include "loader/plan/standing.hpp"
#include "loader/plan/standing_ipsec.hpp"
#include "loader/state/cluster_index.hpp"
#include "loader/state/config.hpp"
#include "loader/state/good_nodes.hpp"
#include "loader/state/node_source.hpp"

// A round about a few nodes: what an agent does when nothing has changed but some node objects, so that one more node
// costs the same in a cluster of fifty and of five thousand.
namespace sheath::engine {

// What a round over everything left: it found all done or did it, but for what waits for a few peers.
struct Memory {
  plan::Facts facts;
  state::Node own;
  state::ClusterIndex index;  // of the whole cluster
  plan::Standing standing;
  std::optional<plan::StandingIpsec> ipsec;  // with IPsec
  std::set<std::string> pending;             // peers that the next round has to look at, whether they change or not

  // A round over everything whose plan was done: what it found, what it wanted, and the steps between.
  struct Round {
    const state::Config& config;
    const state::Cluster& cluster;
    const plan::Facts& facts;
    const plan::Actual& actual;      // as it was found
    const plan::IpsecInputs* ipsec;  // null without IPsec
    const plan::Desired& desired;
    const plan::Plan& plan;
  };
  // nullopt: rounds about a few nodes cannot be had after it.
  static std::optional<Memory> of(const Round& round);
};

// What a round about a few nodes looks at beside their objects.
struct Sight {
  const IpsecMaterial* ipsec = nullptr;  // null without IPsec, and when it cannot be had now
  DigestCache& digests;
  // What was heard from peers of these IDs.
  std::function<Result<std::map<std::uint16_t, plan::Heard>>(const std::set<std::uint16_t>&)> heard;
};

// Some nodes that changed or are waited for, and what follows. Holds on to what it was made from.
struct Few {
  state::GoodNodes::Update update;
  std::set<std::string> names;
  std::vector<state::Node> before;  // those of them that were there
  std::vector<state::Node> after;   // those that are
  plan::IpsecTraces traces;         // of those before, with IPsec
  plan::IpsecInputs ipsec;
  plan::Desired desired;
  plan::Plan plan;
};

// nullopt: everything has to be looked at. So it is when this node itself is among them, when they contradict the
// others or each other, and when anything would have to be done but about these peers. Changes nothing.
std::optional<Few> plan_few(const state::Config& config, const Memory& memory, const state::GoodNodes& good,
                            std::span<const state::ChangedFile> files, const Sight& sight);

// The plan was done. False: the memory does not hold any more.
bool remember(const Few& few, Memory& memory);

}  // namespace sheath::engine
