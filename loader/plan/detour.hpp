// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>

#include "loader/plan/facts.hpp"
#include "loader/plan/step.hpp"

namespace sheath::plan {

// The ways that table main has to these addresses: by the longest prefix, then the smallest metric; of several hops the
// first. An address without a way has none here either. Nothing at all without addresses.
Detour detour_to(const std::set<IpAddress>& addresses, const std::vector<MainRoute>& routes);

// Routes before the rule that leads to them.
void plan_detour(const Detour& desired, const Detour& actual, Plan& plan);
// What is too much: the rule before its routes.
void plan_detour_removals(const Detour& desired, const Detour& actual, Plan& plan);

}  // namespace sheath::plan
