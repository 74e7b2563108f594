// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "loader/base/result.hpp"

// Kernel settings below /proc/sys. Those of net/ are of this thread's network namespace. Names have slashes, since a
// device's name may have a dot: "net/ipv4/conf/eth0.5/rp_filter".
namespace sheath {

// Without the newline at its end.
Result<std::string> read_sysctl(std::string_view name);
// A setting that does not exist fails with ENOENT.
Result<> write_sysctl(std::string_view name, std::string_view value);

}  // namespace sheath
