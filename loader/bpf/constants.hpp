// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/btf.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "maps/types.h"

// Where struct sheath_config lies among a program's constants, found by its type in BTF: the variable's name and its
// neighbours are the object's own affair. Private to this folder.
namespace sheath::bpf {

struct ConfigPosition {
  std::size_t offset = 0;  // bytes
  std::size_t size = 0;    // bytes, as that program knows the struct
};

// Of the variables of a data section; nullopt when none is a struct sheath_config.
std::optional<ConfigPosition> find_config(const btf* types, std::int32_t section_id);

// The struct, out of the section's content. A program that knows the struct in another size was made by another
// version: of it only `build` can be told.
sheath_config read_config(std::span<const std::byte> section, const ConfigPosition& position);

}  // namespace sheath::bpf
