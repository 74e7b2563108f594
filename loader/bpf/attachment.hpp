// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/bpf/pinned_maps.hpp"
#include "loader/bpf/pins.hpp"
#include "maps/types.h"

// Programs on devices of this thread's network namespace: pinned tcx links at the head of the hook where the kernel has
// them (6.6), clsact filters with our priority and handle where not. Filters and links of others are never touched.
namespace sheath::bpf {

enum class Hook { kTcx, kClsact };
// "tcx" or "clsact"
const char* hook_name(Hook hook);

inline constexpr std::uint32_t kFilterPriority = 1;
inline constexpr std::uint32_t kFilterHandle = 0x5ea7;

struct Attached {
  Place place;
  std::uint32_t ifindex = 0;
  Hook hook = Hook::kTcx;
  std::uint32_t program_id = 0;
  sheath_config config{};
};

// kBest: tcx if the kernel has it. Tests ask for clsact on kernels that have both.
enum class HookChoice { kBest, kClsact };

// Loads the program with `config` and attaches it. A program of ours that is there is replaced in one step, with no
// packet unseen; where the device was made anew since, it is attached anew.
Result<> attach(const std::filesystem::path& bpffs, const Place& place, const sheath_config& config,
                const PinnedMaps& maps, HookChoice choice = HookChoice::kBest);

// What is attached now, by asking the devices: a pin whose program somebody detached by hand does not count, and a
// filter of ours whose pin is gone does. Sorted by place.
Result<std::vector<Attached>> list_attached(const std::filesystem::path& bpffs);

// Detaches it from either kind of hook and removes its pins; the clsact qdisc too when we made it and its last filter
// was ours. No error when nothing is there, or the device is gone.
Result<> detach(const std::filesystem::path& bpffs, const Place& place);

// Detaches all that list_attached and the pins name, then removes the maps and the folders: nothing of ours is left
// below bpffs.
Result<> remove_everything(const std::filesystem::path& bpffs);

}  // namespace sheath::bpf
