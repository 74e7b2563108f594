// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/pins.hpp"

#include <bpf/bpf.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "loader/bpf/error.hpp"
#include "maps/names.hpp"

namespace sheath::bpf {
namespace {

constexpr unsigned long kBpfFsMagic = 0xcafe4a11;
constexpr const char* kTemporary = "%new";  // no escaped name has a '%' before 'n'

// The nearest folder at or above `path` that exists.
fs::path existing_ancestor(fs::path path) {
  std::error_code ignored;
  while (path.has_relative_path() && !fs::exists(path, ignored)) path = path.parent_path();
  return path;
}

Result<> check_bpf_filesystem(const fs::path& folder) {
  const auto ancestor = existing_ancestor(folder);
  struct statfs status{};
  if (statfs(ancestor.c_str(), &status) != 0) return fail(kernel_error("stat " + ancestor.string(), errno));
  if (static_cast<unsigned long>(status.f_type) == kBpfFsMagic) return {};
  return fail(Error(folder.string() + " is not on a bpf file system").hint("mount one: mount -t bpf bpf /sys/fs/bpf"));
}

Result<> remove_empty_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove(folder, error);
  if (!error || error == std::errc::directory_not_empty || error == std::errc::no_such_file_or_directory) return {};
  return fail(kernel_error("remove " + folder.string(), error.value()));
}

}  // namespace

std::string text(const Place& place) {
  return std::string(maps::direction_name(place.program)) + " on " + place.device;
}

std::string escape_device(std::string_view device) {
  std::string name;
  for (const char c : device) {
    if (c == '.') {
      name += "%2e";
    } else if (c == '%') {
      name += "%25";
    } else {
      name += c;
    }
  }
  return name;
}

std::string unescape_device(std::string_view name) {
  std::string device;
  while (!name.empty()) {
    const bool dot = name.starts_with("%2e");
    const bool percent = name.starts_with("%25");
    device += dot ? '.' : percent ? '%' : name.front();
    name.remove_prefix(dot || percent ? 3 : 1);
  }
  return device;
}

std::string pin_name(const Place& place) {
  return std::string(maps::direction_name(place.program)) + "_" + escape_device(place.device);
}

std::optional<Place> parse_pin_name(std::string_view name) {
  for (const auto& direction : maps::directions()) {
    const auto prefix = std::string(direction.name) + "_";
    if (!name.starts_with(prefix) || name.size() == prefix.size()) continue;
    Place place{direction.direction, unescape_device(name.substr(prefix.size()))};
    if (pin_name(place) == name) return place;
  }
  return std::nullopt;
}

fs::path link_pin(const fs::path& bpffs, const Place& place) {
  return bpffs / "links" / pin_name(place);
}

fs::path program_pin(const fs::path& bpffs, const Place& place) {
  return bpffs / "programs" / pin_name(place);
}

fs::path clsact_mark(const fs::path& bpffs, std::string_view device) {
  return bpffs / "clsact" / escape_device(device);
}

Result<> make_pin_folder(const fs::path& folder) {
  if (auto good = check_bpf_filesystem(folder); !good) return good;
  fs::path path;
  for (const auto& part : folder) {
    path /= part;
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail(kernel_error("create " + path.string(), errno));
  }
  return {};
}

Result<std::vector<std::string>> list_pins(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(kernel_error("read " + folder.string(), error.value()));
  }
  std::ranges::sort(names);
  return names;
}

Result<std::vector<Place>> list_places(const fs::path& bpffs) {
  std::set<Place> places;
  for (const auto* folder : {"links", "programs"}) {
    const auto names = list_pins(bpffs / folder);
    if (!names) return fail(names.error());
    for (const auto& name : *names) {
      if (auto place = parse_pin_name(name)) places.insert(*place);
    }
  }
  return std::vector(places.begin(), places.end());
}

Result<> pin_over(int fd, const fs::path& path) {
  const auto temporary = path.string() + kTemporary;
  if (auto removed = remove_pin(temporary); !removed) return removed;
  if (bpf_obj_pin(fd, temporary.c_str()) != 0) return fail(kernel_error("pin " + path.string(), errno));
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return fail(kernel_error("pin " + path.string(), errno));
  return {};
}

Result<> remove_pin(const fs::path& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail(kernel_error("remove " + path.string(), errno));
}

Result<> remove_empty_folders(const fs::path& bpffs) {
  for (const auto& folder : {bpffs / "links", bpffs / "programs", bpffs / "clsact", bpffs}) {
    if (auto removed = remove_empty_folder(folder); !removed) return removed;
  }
  return {};
}

}  // namespace sheath::bpf
