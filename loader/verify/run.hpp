// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/state/config.hpp"
#include "loader/state/node.hpp"
#include "loader/verify/judge.hpp"

namespace sheath::verify {

// Sends the probes, again each second, and looks on at this node's devices until each is proven or the time is over. An
// error when packets passed unseen for lack of room: then nothing is proven.
Result<std::vector<Finding>> verify(const state::Config& config, const state::Cluster& cluster,
                                    std::vector<Probe> probes, std::chrono::milliseconds timeout);

}  // namespace sheath::verify
