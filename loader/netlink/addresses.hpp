// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/netlink/socket.hpp"

// Addresses of devices (rtnetlink, RTM_*ADDR; linux/if_addr.h). Every socket here is one of NETLINK_ROUTE.
namespace sheath::netlink {

enum class Scope : std::uint8_t { kGlobal = 0, kSite = 200, kLink = 253, kHost = 254, kNowhere = 255 };

struct InterfaceAddress {
  std::uint32_t ifindex = 0;
  // The local address (IFA_LOCAL), not the far end's of a point-to-point device.
  IpAddress address;
  // Of the network it is in.
  std::uint8_t prefix_length = 0;
  // Values that are not in the list are scopes of the administrator's own (rt_scopes).
  Scope scope = Scope::kGlobal;
  // IPv6 duplicate address detection has not finished or has failed: not usable as a source yet, or ever.
  bool tentative = false;
  // IPv6: no longer for new connections.
  bool deprecated = false;
  // A further address of a network that has one already.
  bool secondary = false;

  bool operator==(const InterfaceAddress&) const = default;
};

// A reply of type RTM_NEWADDR; nullopt for any other, and for families other than IPv4 and IPv6.
Result<std::optional<InterfaceAddress>> decode_address(const Reply& reply);

// Both families, IPv4 first, in the kernel's order. `ifindex` 0: of all devices. Empty when there is no such device.
Result<std::vector<InterfaceAddress>> list_addresses(Socket& socket, std::uint32_t ifindex = 0);

Message encode_add_address(std::uint32_t ifindex, const IpAddress& address);
Message encode_delete_address(std::uint32_t ifindex, const IpAddress& address);

// Gives the device the address alone, as /32 or /128: without a route to a network around it, and usable at once (no
// duplicate address detection). False: it has it already.
Result<bool> add_address(Socket& socket, std::uint32_t ifindex, const IpAddress& address);
// False: it did not have it.
Result<bool> delete_address(Socket& socket, std::uint32_t ifindex, const IpAddress& address);

}  // namespace sheath::netlink
