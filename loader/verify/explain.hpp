// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "loader/engine/status.hpp"
#include "loader/verify/judge.hpp"

namespace sheath::verify {

// Why a probe was not encrypted, or not answered, as far as this node can tell: the first cause that fits. Empty for
// one that was encrypted. Pure.
std::string explain(const Probe& probe, const Sightings& seen, const engine::Status& status);

}  // namespace sheath::verify
