// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"
#include "maps/types.h"

// Object files that this binary carries. Private to this folder.
namespace sheath::bpf {

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};

// Owns an opened object, with the maps and programs it loaded.
using Object = std::unique_ptr<bpf_object, CloseObject>;

// Only the map definitions: bpf/maps.bpf.c.
std::span<const std::byte> maps_image();
std::span<const std::byte> program_image(sheath_direction program);
std::span<const std::byte> audit_image();

// Parses; nothing is in the kernel yet.
Result<Object> open_object(std::span<const std::byte> image, const std::string& name);

// Sets the constants of a program before it is loaded.
Result<> set_config(const Object& object, const sheath_config& config);

// Loads the one program of an opened object, with the maps that it has by now. What the verifier says comes with the
// error.
Result<UniqueFd> load_object(const Object& object);

// The maps of maps/maps.bpf.h: those that are pinned, not the constants.
bool is_contract_map(const bpf_map* map);

}  // namespace sheath::bpf
