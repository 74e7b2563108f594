// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/netlink/netfilter.hpp"

// IPVS (kube-proxy's mode ipvs): its services take a pod's packets out of the host's INPUT and translate the answers in
// FORWARD.
namespace sheath::netlink {

// In the lines of /proc/net/ip_vs: a service begins with its protocol or FWM, its servers and the head do not.
std::uint32_t count_ipvs_services(const std::vector<std::string>& lines);

// One finding, or none. Empty on a kernel without IPVS.
Result<std::vector<FilterFinding>> list_ipvs();

}  // namespace sheath::netlink
