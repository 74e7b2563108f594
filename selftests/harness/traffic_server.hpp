// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "loader/base/result.hpp"

namespace sheath::traffic {

// Echoes what comes over TCP and UDP, both families, until killed. With `pid_file` it goes into the background once it
// listens, and the caller goes on; the file then holds the process ID.
Result<> serve(std::uint16_t port, const std::optional<std::filesystem::path>& pid_file);

}  // namespace sheath::traffic
