// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "loader/base/result.hpp"

namespace sheath::netlink {

// A file of /proc or /lib/modules, line by line. An absent file has no lines.
Result<std::vector<std::string>> read_lines(const std::string& path);

}  // namespace sheath::netlink
