// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/detour.hpp"

#include <utility>

namespace sheath::plan {
namespace {

// The best route of each prefix.
class Table {
 public:
  explicit Table(const std::vector<MainRoute>& routes) {
    for (const auto& route : routes) {
      const auto [found, is_new] = best_.try_emplace(route.destination, &route);
      if (!is_new && route.metric < found->second->metric) found->second = &route;
      lengths_.insert(route.destination.length);
    }
  }

  const MainRoute* find(const IpAddress& address) const {
    for (auto length = lengths_.rbegin(); length != lengths_.rend(); ++length) {
      if (*length > address.size() * 8) continue;
      const auto found = best_.find(Cidr::around(address, *length));
      if (found != best_.end()) return found->second;
    }
    return nullptr;
  }

 private:
  std::map<Cidr, const MainRoute*> best_;
  std::set<std::uint8_t> lengths_;
};

}  // namespace

Detour detour_to(const std::set<IpAddress>& addresses, const std::vector<MainRoute>& routes) {
  Detour out;
  const Table table(routes);
  for (const auto& address : addresses) {
    const auto* route = table.find(address);
    if (route == nullptr) continue;
    out.routes[address] = route->way;
    out.rules.insert(address.family);
  }
  return out;
}

void plan_detour(const Detour& desired, const Detour& actual, Plan& plan) {
  for (const auto& [address, way] : desired.routes) {
    const auto found = actual.routes.find(address);
    if (found == actual.routes.end() || found->second != way) plan.emplace_back(SetDetourRoute{address, way});
  }
  for (const auto family : desired.rules) {
    if (!actual.rules.contains(family)) plan.emplace_back(AddDetourRule{family});
  }
}

void plan_detour_removals(const Detour& desired, const Detour& actual, Plan& plan) {
  for (const auto family : actual.rules) {
    if (!desired.rules.contains(family)) plan.emplace_back(DropDetourRule{family});
  }
  for (const auto& [address, way] : actual.routes) {
    if (!desired.routes.contains(address)) plan.emplace_back(DropDetourRoute{address, way});
  }
}

}  // namespace sheath::plan
