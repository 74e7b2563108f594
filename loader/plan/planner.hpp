// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/plan/step.hpp"

namespace sheath::plan {

// The steps from `actual` to `desired`; empty when they agree. Takes time near-linear in their size.
//
// In strict mode, at every boundary between two steps: once an uplink is closed and a prefix is known, packets to that
// prefix are encrypted to a peer that owned or will own it, or dropped. Only the last steps forget prefixes that
// `desired` does not know. A peer that does not differ is not touched, and its traffic never stops, whatever else
// changes. From any boundary, planning again leads to the same end.
Plan make_plan(const Desired& desired, const Actual& actual);

// The steps that remove everything of ours but the private key file, the publication first.
Plan make_unload_plan(const Actual& actual);

}  // namespace sheath::plan
