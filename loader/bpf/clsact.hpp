// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "loader/base/result.hpp"
#include "loader/bpf/pins.hpp"

// One program as a filter of the clsact qdisc, under our priority and handle. Private to this folder.
namespace sheath::bpf {

// The ID of the program in our place of that hook, whoever put it there. nullopt: no such filter, qdisc or device.
Result<std::optional<std::uint32_t>> clsact_program(sheath_direction program, std::uint32_t ifindex);

// Makes the qdisc where there is none, and the filter, or replaces the filter's program in one step. A filter in our
// place that is not ours is an error.
Result<> clsact_attach(const fs::path& bpffs, const Place& place, std::uint32_t ifindex, int program_fd);

// Removes our filter, and the qdisc when we made it and it is empty. No error when there is no filter of ours.
Result<> clsact_detach(const fs::path& bpffs, const Place& place, std::uint32_t ifindex);

}  // namespace sheath::bpf
