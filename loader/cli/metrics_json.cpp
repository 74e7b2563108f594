// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/metrics_json.hpp"

#include "maps/names.hpp"

namespace sheath::cli {

nlohmann::ordered_json metrics_json(const bpf::Metrics& metrics) {
  nlohmann::ordered_json all;
  for (const auto& direction : maps::directions()) {
    auto& reasons = all[std::string(direction.name)] = nlohmann::ordered_json::object();
    for (const auto& reason : maps::reasons()) {
      const auto& count = maps::counter(metrics[direction.direction], reason.reason);
      if (count.packets == 0) continue;
      reasons[std::string(reason.name)] = {{"packets", count.packets}, {"bytes", count.bytes}};
    }
  }
  return all;
}

}  // namespace sheath::cli
