// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/base/result.hpp"
#include "loader/state/cluster.hpp"
#include "loader/state/config.hpp"

namespace sheath::cli {

// The cluster as its node objects and the configuration describe it, checked for contradictions. This node is in it as
// far as they know it: nothing is asked of the machine, so that it works without privileges and for other machines.
Result<state::ClusterState> read_cluster(const state::Config& config);

}  // namespace sheath::cli
