// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/plan/facts.hpp"
#include "loader/state/config.hpp"
#include "loader/state/node.hpp"

namespace sheath::plan {

struct Inputs {
  const state::Config& config;
  const state::Cluster& cluster;  // this node included, with its public key
  const Facts& facts;
  const Maps& maps;  // as they are pinned now: peers keep their node IDs
  std::optional<Publication> publication;
};

// What the node should look like. With encryption `none` nothing but the publication, which then carries no key: peers
// in strict mode send this node nothing rather than plaintext.
// A misuse when this node is not in the cluster, or the uplinks leave no room for the tunnel (MTU).
Result<Desired> build_desired(const Inputs& inputs);

}  // namespace sheath::plan
