// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "loader/base/result.hpp"
#include "loader/bpf/pins.hpp"

// One program on one tcx hook, by a link that is pinned. Private to this folder.
namespace sheath::bpf {

// Whether the kernel has tcx, asked of a device without changing it.
bool has_tcx(std::uint32_t ifindex);

// The ID of the program that our pinned link runs on the device now. nullopt: no link, or one that is cut off, or whose
// device was made anew since.
Result<std::optional<std::uint32_t>> tcx_program(const fs::path& bpffs, const Place& place, std::uint32_t ifindex);

// Puts the program in place of the one that the pinned link runs, in one step; or makes a link, first on its hook.
Result<> tcx_attach(const fs::path& bpffs, const Place& place, std::uint32_t ifindex, int program_fd);

// No error when there is no link.
Result<> tcx_detach(const fs::path& bpffs, const Place& place);

}  // namespace sheath::bpf
