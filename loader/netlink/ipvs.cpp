// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/ipvs.hpp"

#include <algorithm>

#include "loader/netlink/lines.hpp"

namespace sheath::netlink {

std::uint32_t count_ipvs_services(const std::vector<std::string>& lines) {
  const auto is_service = [](const std::string& line) {
    return line.starts_with("TCP ") || line.starts_with("UDP ") || line.starts_with("SCTP ") ||
           line.starts_with("FWM ");
  };
  return static_cast<std::uint32_t>(std::ranges::count_if(lines, is_service));
}

Result<std::vector<FilterFinding>> list_ipvs() {
  const auto lines = read_lines("/proc/thread-self/net/ip_vs");
  if (!lines) return fail(lines.error());
  const std::uint32_t services = count_ipvs_services(*lines);
  if (services == 0) return std::vector<FilterFinding>{};
  FilterFinding finding;
  finding.system = FilterSystem::kIpvs;
  finding.rules = services;
  return std::vector{finding};
}

}  // namespace sheath::netlink
