// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "loader/base/address.hpp"
#include "loader/netlink/attributes.hpp"

namespace sheath::netlink {

// RTA_GATEWAY, which is of the route's family, or RTA_VIA, which names its own.
std::optional<IpAddress> read_gateway(Family family, const Attributes& attributes);

}  // namespace sheath::netlink
