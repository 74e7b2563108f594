// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/state/config.hpp"
#include "loader/state/node.hpp"

namespace sheath::state {

// Whether a label of the node is one of nodeEncryptionOptOutLabels ("key", whatever its value, or "key=value"): its own
// traffic stays in plaintext, at both ends of it.
bool is_opted_out(const Config& config, const Node& node);

}  // namespace sheath::state
