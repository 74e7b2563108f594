// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loader/base/result.hpp"
#include "maps/reasons.h"

// Where our pins are below the bpffs folder of a node (config key paths.bpffs):
//
//   <map>                          the maps of maps/maps.bpf.h, by their names
//   links/<program>_<device>       tcx links
//   programs/<program>_<device>    the programs, on either kind of hook
//   clsact/<device>                an empty folder: the clsact qdisc of that device is our making
//
// bpffs refuses dots in names, devices have them (eth0.100): '.' is written %2e and '%' %25.
namespace sheath::bpf {

namespace fs = std::filesystem;

// A program and the device it is attached to.
struct Place {
  sheath_direction program = SHEATH_DIRECTION_uplink_egress;
  std::string device;

  auto operator<=>(const Place&) const = default;
};

// "uplink_egress on eth0"
std::string text(const Place& place);

std::string escape_device(std::string_view device);
std::string unescape_device(std::string_view name);

std::string pin_name(const Place& place);
// nullopt for a name that pin_name would not give.
std::optional<Place> parse_pin_name(std::string_view name);

fs::path link_pin(const fs::path& bpffs, const Place& place);
fs::path program_pin(const fs::path& bpffs, const Place& place);
fs::path clsact_mark(const fs::path& bpffs, std::string_view device);

// Makes the folder and those above it, 0700. Fails, with the mount command as hint, where no bpf file system is
// mounted.
Result<> make_pin_folder(const fs::path& folder);

// The names in a folder; none when it does not exist.
Result<std::vector<std::string>> list_pins(const fs::path& folder);
// The places that links/ or programs/ name, each once.
Result<std::vector<Place>> list_places(const fs::path& bpffs);

// Pins an object that `fd` refers to, in place of what was pinned there, in one rename.
Result<> pin_over(int fd, const fs::path& path);
// No error when there is no such pin.
Result<> remove_pin(const fs::path& path);
// Removes links/, programs/, clsact/ and the node's own folder, as far as they are empty. Nothing else is touched.
Result<> remove_empty_folders(const fs::path& bpffs);

}  // namespace sheath::bpf
