// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/plan/step.hpp"

// The part of a plan that concerns the tunnel device. Used by the planner alone.
namespace sheath::plan {

// Device, key, port, MTU: what differs, in the order a new device needs it.
void plan_tunnel_device(const Tunnel& desired, const std::optional<Tunnel>& actual, Plan& plan);

// Peers to add or to change. An allowed IP that moves is never without a holder.
void plan_tunnel_additions(const Tunnel& desired, const std::optional<Tunnel>& actual, Plan& plan);

// Peers, and allowed IPs, that are to go. For after the additions: what another peer took over is not taken away again.
void plan_tunnel_removals(const Tunnel& desired, const std::optional<Tunnel>& actual, Plan& plan);

}  // namespace sheath::plan
