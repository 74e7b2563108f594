// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/overlay_plan.hpp"

namespace sheath::plan {

// A device on another port is made anew: the kernel does not change a port in place.
void plan_overlay_device(const Overlay& desired, const std::optional<Overlay>& actual, Plan& plan) {
  if (!actual) plan.emplace_back(CreateOverlay{kOverlayDevice, desired.port});
  if (!actual || actual->mtu != desired.mtu) plan.emplace_back(SetTunnelMtu{kOverlayDevice, desired.mtu});
}

void plan_overlay_up(const Overlay& desired, const std::optional<Overlay>& actual, Plan& plan) {
  const Overlay now = actual.value_or(Overlay{});
  if (!now.up) plan.emplace_back(SetTunnelUp{kOverlayDevice});
  for (const auto& address : desired.addresses) {
    if (!now.addresses.contains(address)) plan.emplace_back(AddOverlayAddress{address});
  }
  for (const auto& [destination, source] : desired.routes) {
    const auto found = now.routes.find(destination);
    if (found == now.routes.end() || found->second != source) plan.emplace_back(SetOverlayRoute{destination, source});
  }
}

void plan_overlay_removals(const Overlay& desired, const std::optional<Overlay>& actual, Plan& plan) {
  if (!actual) return;
  for (const auto& [destination, source] : actual->routes) {
    if (!desired.routes.contains(destination)) plan.emplace_back(DropOverlayRoute{destination});
  }
}

}  // namespace sheath::plan
