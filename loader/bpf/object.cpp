// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/object.hpp"

// Before the skeletons, which use its types.
#include "maps/types.h"

// They serve as carriers of the object files only: which maps are reused and what the constants are is the same code
// for every program.
#include "audit.skel.h"
#include "maps.skel.h"
#include "overlay_egress.skel.h"
#include "pod_egress.skel.h"
#include "tunnel_ingress.skel.h"
#include "uplink_egress.skel.h"
#include "uplink_ingress.skel.h"

#include "loader/bpf/error.hpp"

namespace sheath::bpf {
namespace {

using ImageFunction = const void* (*)(std::size_t*);

std::span<const std::byte> image(ImageFunction function) {
  std::size_t size = 0;
  const void* data = function(&size);
  return {static_cast<const std::byte*>(data), size};
}

}  // namespace

std::span<const std::byte> maps_image() {
  return image(maps__elf_bytes);
}

std::span<const std::byte> audit_image() {
  return image(audit__elf_bytes);
}

std::span<const std::byte> program_image(sheath_direction program) {
#define SHEATH_PROGRAM_IMAGE(name, doc) \
  case SHEATH_DIRECTION_##name:         \
    return image(name##__elf_bytes);
  switch (program) {
    SHEATH_DIRECTIONS(SHEATH_PROGRAM_IMAGE)
    case SHEATH_DIRECTION_COUNT:
      break;
  }
#undef SHEATH_PROGRAM_IMAGE
  return {};
}

Result<Object> open_object(std::span<const std::byte> image, const std::string& name) {
  LogCapture log;
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name.c_str());
  Object object(bpf_object__open_mem(image.data(), image.size(), &options));
  if (!object) return fail(kernel_error("open the object of " + name, errno, log));
  return object;
}

bool is_contract_map(const bpf_map* map) {
  return !bpf_map__is_internal(map);
}

}  // namespace sheath::bpf
