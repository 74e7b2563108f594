// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/base/result.hpp"
#include "loader/netlink/socket.hpp"

// What has to hold before anything is changed, so that what can be known to fail fails first.
namespace sheath::engine {

// CAP_NET_ADMIN, and CAP_BPF or CAP_SYS_ADMIN.
Result<> check_privileges();

// The kernel can make WireGuard devices. Where that is not known yet, makes one and removes it, which loads the module.
Result<> check_wireguard(netlink::Socket& socket);

// The same for xfrm interfaces and the netlink protocol of IPsec.
Result<> check_ipsec(netlink::Socket& socket);

}  // namespace sheath::engine
