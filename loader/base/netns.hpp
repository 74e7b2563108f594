// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "loader/base/result.hpp"

namespace sheath {

// Moves this thread into a network namespace: /run/netns/NAME (as `ip netns add` makes it), or an absolute path such as
// /proc/PID/ns/net. Only the network changes, so that /sys/fs/bpf stays visible. Call it before other threads exist
// and before sockets are opened. A name that cannot be one is a misuse; needs CAP_SYS_ADMIN.
Result<> enter_network_namespace(std::string_view name);

}  // namespace sheath
