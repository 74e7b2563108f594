// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"
#include "loader/bpf/pinned_maps.hpp"
#include "maps/types.h"

// The programs that this binary carries. A program's name is that of its direction (maps/reasons.h), in its object, its
// function and its pins.
namespace sheath::bpf {

// The first 8 bytes of the SHA-256 of the object file, as a number in network order: what sheath_config::build is to
// be. Known since the build: to hash the objects would be most of what an `apply` does that finds nothing to do.
std::uint64_t build_id(sheath_direction program);

// Loads the program with its constants, on the pinned maps (opened for writing). What the verifier says comes with the
// error.
Result<UniqueFd> load_program(sheath_direction program, const sheath_config& config, const PinnedMaps& maps);

// What the kernel says of a loaded program.
struct ProgramInfo {
  std::uint32_t id = 0;
  std::string name;
  sheath_config config{};
};

// Fails with ENOENT when no such program is loaded; so it does for one that has no sheath_config among its constants,
// which is not ours.
Result<ProgramInfo> read_program(std::uint32_t program_id);

}  // namespace sheath::bpf
