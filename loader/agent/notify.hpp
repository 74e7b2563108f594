// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

// What a service tells its manager: sd_notify(3). Nothing happens where nobody asked to be told.
namespace sheath::agent {

// "READY=1", "STATUS=…", "STOPPING=1", "WATCHDOG=1"; several with line ends between.
void notify(std::string_view state);

// How often the manager wants to hear WATCHDOG=1 at least (half of its patience); nullopt: it does not.
std::optional<std::chrono::milliseconds> watchdog_interval();

}  // namespace sheath::agent
