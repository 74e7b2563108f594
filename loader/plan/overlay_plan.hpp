// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "loader/plan/step.hpp"

namespace sheath::plan {

// The parts of a plan that make cilium_vxlan what it should be: the device, then (the planner) its programs, then up,
// addresses and routes. Routes that nobody wants go with the peers they led to.
void plan_overlay_device(const Overlay& desired, const std::optional<Overlay>& actual, Plan& plan);
void plan_overlay_up(const Overlay& desired, const std::optional<Overlay>& actual, Plan& plan);
void plan_overlay_removals(const Overlay& desired, const std::optional<Overlay>& actual, Plan& plan);

}  // namespace sheath::plan
