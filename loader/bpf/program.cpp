// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/program.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "overlay_egress.build.h"
#include "pod_egress.build.h"
#include "tunnel_ingress.build.h"
#include "uplink_egress.build.h"
#include "uplink_ingress.build.h"

#include "loader/bpf/constants.hpp"
#include "loader/bpf/error.hpp"
#include "loader/bpf/object.hpp"
#include "maps/names.hpp"

namespace sheath::bpf {
namespace {

constexpr const char* kConstants = ".rodata";

struct FreeBtf {
  void operator()(btf* types) const { btf__free(types); }
};

bpf_map* find_constants(const Object& object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    if (std::string_view(bpf_map__name(map)).ends_with(kConstants)) return map;
  }
  return nullptr;
}

Result<> reuse_maps(const Object& object, const PinnedMaps& maps) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    if (!is_contract_map(map)) continue;
    const std::string name = bpf_map__name(map);
    const int failed = bpf_map__reuse_fd(map, maps.fd(name));
    if (failed != 0) return fail(kernel_error("reuse the pinned map " + name, failed));
  }
  return {};
}

// The struct, if this map of a program holds its constants.
Result<std::optional<sheath_config>> config_in_map(std::uint32_t map_id) {
  const UniqueFd fd(bpf_map_get_fd_by_id(map_id));
  if (!fd) return fail(kernel_error("open map " + std::to_string(map_id), errno));
  bpf_map_info info{};
  std::uint32_t length = sizeof info;
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) return fail(kernel_error("read about a map", errno));
  if (!std::string_view(info.name).ends_with(kConstants) || info.btf_id == 0) return std::nullopt;
  const std::unique_ptr<btf, FreeBtf> types(btf__load_from_kernel_by_id(info.btf_id));
  if (!types) return fail(kernel_error("read the types of a map", errno));
  const auto position = find_config(types.get(), static_cast<std::int32_t>(info.btf_value_type_id));
  if (!position) return std::nullopt;
  std::vector<std::byte> section(info.value_size);
  const std::uint32_t key = 0;
  if (bpf_map_lookup_elem(fd.get(), &key, section.data()) != 0) return fail(kernel_error("read constants", errno));
  return read_config(section, *position);
}

}  // namespace

// Before loading, libbpf holds the section's initial content in user space.
Result<> set_config(const Object& object, const sheath_config& config) {
  bpf_map* map = find_constants(object);
  const btf* types = bpf_object__btf(object.get());
  const auto position = find_config(types, btf__find_by_name_kind(types, kConstants, BTF_KIND_DATASEC));
  std::size_t size = 0;
  const auto* content = map == nullptr ? nullptr : static_cast<const std::byte*>(bpf_map__initial_value(map, &size));
  if (content == nullptr || !position || position->size != sizeof config || position->offset + sizeof config > size) {
    return fail("the object has no struct sheath_config among its constants");
  }
  std::vector<std::byte> section(content, content + size);
  std::memcpy(section.data() + position->offset, &config, sizeof config);
  const int failed = bpf_map__set_initial_value(map, section.data(), size);
  if (failed != 0) return fail(kernel_error("set the constants", failed));
  return {};
}

Result<UniqueFd> load_object(const Object& object) {
  LogCapture log;
  if (const int failed = bpf_object__load(object.get()); failed != 0) {
    return fail(kernel_error("the kernel refuses it", failed, log));
  }
  const bpf_program* loaded = bpf_object__next_program(object.get(), nullptr);
  if (loaded == nullptr) return fail("the object has no program");
  UniqueFd fd(fcntl(bpf_program__fd(loaded), F_DUPFD_CLOEXEC, 0));
  if (!fd) return fail(kernel_error("keep the program", errno));
  return fd;
}

std::uint64_t build_id(sheath_direction program) {
#define SHEATH_BUILD_ID(name, doc) \
  case SHEATH_DIRECTION_##name:    \
    return SHEATH_BUILD_##name;
  switch (program) {
    SHEATH_DIRECTIONS(SHEATH_BUILD_ID)
    case SHEATH_DIRECTION_COUNT:
      break;
  }
#undef SHEATH_BUILD_ID
  return 0;
}

Result<UniqueFd> load_program(sheath_direction program, const sheath_config& config, const PinnedMaps& maps) {
  const std::string name(maps::direction_name(program));
  const auto doing = "load " + name;
  auto object = open_object(program_image(program), name);
  if (!object) return fail(std::move(object.error()).context(doing));
  if (auto set = set_config(*object, config); !set) return fail(std::move(set.error()).context(doing));
  if (auto reused = reuse_maps(*object, maps); !reused) return fail(std::move(reused.error()).context(doing));
  auto fd = load_object(*object);
  if (!fd) return fail(std::move(fd.error()).context(doing));
  return fd;
}

Result<ProgramInfo> read_program(std::uint32_t program_id) {
  const auto doing = "read program " + std::to_string(program_id);
  const UniqueFd fd(bpf_prog_get_fd_by_id(program_id));
  if (!fd) return fail(kernel_error(doing, errno));
  std::array<std::uint32_t, 64> map_ids{};
  bpf_prog_info info{};
  info.nr_map_ids = map_ids.size();
  info.map_ids = reinterpret_cast<std::uintptr_t>(map_ids.data());
  std::uint32_t length = sizeof info;
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) return fail(kernel_error(doing, errno));
  for (std::uint32_t i = 0; i < std::min<std::size_t>(info.nr_map_ids, map_ids.size()); ++i) {
    const auto config = config_in_map(map_ids[i]);
    if (!config) return fail(Error(config.error()).context(doing));
    if (*config) return ProgramInfo{program_id, info.name, **config};
  }
  return fail(Error::system(doing + ": not one of ours", ENOENT));
}

}  // namespace sheath::bpf
