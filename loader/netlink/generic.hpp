// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "loader/netlink/socket.hpp"

// Generic netlink (linux/genetlink.h). A socket here is one of NETLINK_GENERIC.
namespace sheath::netlink {

// The message type of a family's messages; nullopt when the kernel has no such family (or its module is not loaded and
// could not be).
Result<std::optional<std::uint16_t>> find_family(Socket& socket, std::string_view name);

}  // namespace sheath::netlink
