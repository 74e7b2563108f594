// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/netlink/links.hpp"

// ARP and neighbour discovery entries (rtnetlink, RTM_GETNEIGH; linux/neighbour.h). A socket here is one of
// NETLINK_ROUTE.
namespace sheath::netlink {

struct Neighbour {
  std::uint32_t ifindex = 0;
  IpAddress address;
  // Absent while it is not resolved.
  std::optional<MacAddress> mac;
  // NUD_REACHABLE, NUD_STALE, NUD_PERMANENT, NUD_FAILED, ...
  std::uint16_t state = 0;

  // The MAC address is known and may be used.
  bool valid() const;
  bool operator==(const Neighbour&) const = default;
};

// A reply of type RTM_NEWNEIGH; nullopt for any other, and for families other than IPv4 and IPv6.
Result<std::optional<Neighbour>> decode_neighbour(const Reply& reply);

// Both families. `ifindex` 0: of all devices.
Result<std::vector<Neighbour>> list_neighbours(Socket& socket, std::uint32_t ifindex = 0);

}  // namespace sheath::netlink
