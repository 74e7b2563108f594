// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/attachment.hpp"

#include <net/if.h>

#include <algorithm>
#include <map>
#include <memory>

#include "loader/bpf/clsact.hpp"
#include "loader/bpf/error.hpp"
#include "loader/bpf/program.hpp"
#include "loader/bpf/tcx.hpp"
#include "maps/names.hpp"

namespace sheath::bpf {
namespace {

using Devices = std::map<std::string, std::uint32_t>;
using Found = std::map<Place, Attached>;

struct FreeNameIndex {
  void operator()(struct if_nameindex* list) const { if_freenameindex(list); }
};

Result<Devices> list_devices() {
  const std::unique_ptr<struct if_nameindex, FreeNameIndex> list(if_nameindex());
  if (!list) return fail(kernel_error("list the devices", errno));
  Devices devices;
  for (const auto* device = list.get(); device->if_index != 0; ++device) devices[device->if_name] = device->if_index;
  return devices;
}

// One kind of hook in, the other kind cleared: a program of ours must not run twice.
Result<> attach_loaded(const fs::path& bpffs, const Place& place, std::uint32_t ifindex, int program_fd, bool tcx) {
  if (tcx) {
    if (auto done = tcx_attach(bpffs, place, ifindex, program_fd); !done) return done;
    return clsact_detach(bpffs, place, ifindex);
  }
  if (auto done = clsact_attach(bpffs, place, ifindex, program_fd); !done) return done;
  return tcx_detach(bpffs, place);
}

// The pin comes first, so that nothing of ours is ever attached without one.
Result<> load_and_attach(const fs::path& bpffs, const Place& place, const sheath_config& config, const PinnedMaps& maps,
                         HookChoice choice) {
  const std::uint32_t ifindex = if_nametoindex(place.device.c_str());
  if (ifindex == 0) return fail(Error::system("find the device", errno));
  for (const auto* folder : {"links", "programs"}) {
    if (auto made = make_pin_folder(bpffs / folder); !made) return made;
  }
  const auto program = load_program(place.program, config, maps);
  if (!program) return fail(program.error());
  if (auto pinned = pin_over(program->get(), program_pin(bpffs, place)); !pinned) return pinned;
  const bool tcx = choice == HookChoice::kBest && has_tcx(ifindex);
  return attach_loaded(bpffs, place, ifindex, program->get(), tcx);
}

// A program that went away between the two looks, or is not ours, is not there.
Result<> add_found(Found& found, const Place& place, std::uint32_t ifindex, Hook hook, std::uint32_t program_id) {
  auto info = read_program(program_id);
  if (!info && info.error().error_number() == ENOENT) return {};
  if (!info) return fail(std::move(info.error()).context(text(place)));
  if (info->name != maps::direction_name(place.program)) return {};
  found.try_emplace(place, Attached{place, ifindex, hook, program_id, info->config});
  return {};
}

Result<> find_tcx(Found& found, const fs::path& bpffs, const Devices& devices) {
  const auto places = list_places(bpffs);
  if (!places) return fail(places.error());
  for (const auto& place : *places) {
    const auto device = devices.find(place.device);
    if (device == devices.end()) continue;
    const auto id = tcx_program(bpffs, place, device->second);
    if (!id) return fail(id.error());
    if (!*id) continue;
    if (auto added = add_found(found, place, device->second, Hook::kTcx, **id); !added) return added;
  }
  return {};
}

Result<> find_clsact(Found& found, const Devices& devices) {
  for (const auto& [name, ifindex] : devices) {
    for (const auto& direction : maps::directions()) {
      const auto id = clsact_program(direction.direction, ifindex);
      if (!id) return fail(id.error());
      if (!*id) continue;
      if (auto added = add_found(found, {direction.direction, name}, ifindex, Hook::kClsact, **id); !added) {
        return added;
      }
    }
  }
  return {};
}

Result<> remove_clsact_marks(const fs::path& bpffs) {
  const auto marks = list_pins(bpffs / "clsact");
  if (!marks) return fail(marks.error());
  std::error_code error;
  for (const auto& mark : *marks) fs::remove(bpffs / "clsact" / mark, error);
  if (error) return fail(kernel_error("remove the marks of clsact", error.value()));
  return {};
}

}  // namespace

const char* hook_name(Hook hook) {
  return hook == Hook::kTcx ? "tcx" : "clsact";
}

Result<> attach(const fs::path& bpffs, const Place& place, const sheath_config& config, const PinnedMaps& maps,
                HookChoice choice) {
  auto attached = load_and_attach(bpffs, place, config, maps, choice);
  if (!attached) return fail(std::move(attached.error()).context("attach " + text(place)));
  return {};
}

Result<std::vector<Attached>> list_attached(const fs::path& bpffs) {
  const auto devices = list_devices();
  if (!devices) return fail(devices.error());
  Found found;
  if (auto done = find_tcx(found, bpffs, *devices); !done) return fail(done.error());
  if (auto done = find_clsact(found, *devices); !done) return fail(done.error());
  std::vector<Attached> list;
  for (const auto& [place, attached] : found) list.push_back(attached);
  return list;
}

Result<> detach(const fs::path& bpffs, const Place& place) {
  const auto doing = "detach " + text(place);
  if (auto done = tcx_detach(bpffs, place); !done) return fail(std::move(done.error()).context(doing));
  const std::uint32_t ifindex = if_nametoindex(place.device.c_str());
  if (ifindex != 0) {
    if (auto done = clsact_detach(bpffs, place, ifindex); !done) return fail(std::move(done.error()).context(doing));
  }
  return remove_pin(program_pin(bpffs, place));
}

Result<> remove_everything(const fs::path& bpffs) {
  const auto attached = list_attached(bpffs);
  if (!attached) return fail(attached.error());
  auto places = list_places(bpffs);
  if (!places) return fail(places.error());
  for (const auto& one : *attached) places->push_back(one.place);
  for (const auto& place : *places) {
    if (auto done = detach(bpffs, place); !done) return done;
  }
  if (auto done = remove_clsact_marks(bpffs); !done) return done;
  if (auto done = PinnedMaps::remove(bpffs); !done) return done;
  return remove_empty_folders(bpffs);
}

}  // namespace sheath::bpf
