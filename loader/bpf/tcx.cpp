// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/tcx.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "loader/base/unique_fd.hpp"
#include "loader/bpf/error.hpp"
#include "maps/names.hpp"

namespace sheath::bpf {
namespace {

// From the kernel's uapi/linux/bpf.h since 6.6; the distribution's header is older.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
constexpr std::uint32_t kFlagBefore = 1U << 3;  // BPF_F_BEFORE, with nothing to be before: first of all

bpf_attach_type hook_of(sheath_direction program) {
  return maps::is_on_egress(program) ? kTcxEgress : kTcxIngress;
}

Result<UniqueFd> open_link(const fs::path& pin) {
  UniqueFd fd(bpf_obj_get(pin.c_str()));
  if (!fd && errno == ENOENT) return UniqueFd();
  if (!fd) return fail(kernel_error("open link " + pin.string(), errno));
  return fd;
}

// Whether the program runs on that hook of that device: the link's own word does not name the namespace.
bool runs_on(std::uint32_t ifindex, bpf_attach_type hook, std::uint32_t program_id) {
  std::array<std::uint32_t, 64> ids{};  // BPF_MPROG_MAX
  auto count = static_cast<std::uint32_t>(ids.size());
  if (bpf_prog_query(static_cast<int>(ifindex), hook, 0, nullptr, ids.data(), &count) != 0) return false;
  return std::ranges::find(ids.begin(), ids.begin() + std::min<std::size_t>(count, ids.size()), program_id) !=
         ids.begin() + std::min<std::size_t>(count, ids.size());
}

Result<std::optional<std::uint32_t>> program_of(int link_fd, const Place& place, std::uint32_t ifindex) {
  bpf_link_info info{};
  std::uint32_t length = sizeof info;
  if (bpf_obj_get_info_by_fd(link_fd, &info, &length) != 0) return fail(kernel_error("read about a link", errno));
  // struct { __u32 ifindex; __u32 attach_type; } tcx opens the union, as xdp.ifindex does; 0 once it is cut off.
  if (info.xdp.ifindex != ifindex || !runs_on(ifindex, hook_of(place.program), info.prog_id)) return std::nullopt;
  return info.prog_id;
}

Result<> make_link(const fs::path& pin, const Place& place, std::uint32_t ifindex, int program_fd) {
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = kFlagBefore);
  const UniqueFd link(bpf_link_create(program_fd, static_cast<int>(ifindex), hook_of(place.program), &options));
  if (!link) return fail(kernel_error("create a tcx link", errno));
  return pin_over(link.get(), pin);
}

}  // namespace

bool has_tcx(std::uint32_t ifindex) {
  std::uint32_t count = 0;
  return bpf_prog_query(static_cast<int>(ifindex), kTcxIngress, 0, nullptr, nullptr, &count) == 0 || errno == ENOSPC;
}

Result<std::optional<std::uint32_t>> tcx_program(const fs::path& bpffs, const Place& place, std::uint32_t ifindex) {
  const auto link = open_link(link_pin(bpffs, place));
  if (!link) return fail(link.error());
  if (!*link) return std::nullopt;
  return program_of(link->get(), place, ifindex);
}

Result<> tcx_attach(const fs::path& bpffs, const Place& place, std::uint32_t ifindex, int program_fd) {
  const auto pin = link_pin(bpffs, place);
  const auto link = open_link(pin);
  if (!link) return fail(link.error());
  if (!*link) return make_link(pin, place, ifindex, program_fd);
  const auto running = program_of(link->get(), place, ifindex);
  if (!running) return fail(running.error());
  if (!*running) return make_link(pin, place, ifindex, program_fd);
  if (bpf_link_update(link->get(), program_fd, nullptr) == 0) return {};
  return fail(kernel_error("replace the program of " + pin.string(), errno));
}

Result<> tcx_detach(const fs::path& bpffs, const Place& place) {
  const auto pin = link_pin(bpffs, place);
  const auto link = open_link(pin);
  if (!link) return fail(link.error());
  // Another process may hold the link: cut it off, do not wait for the last reference. Fails when its device is gone.
  if (*link) (void)bpf_link_detach(link->get());
  return remove_pin(pin);
}

}  // namespace sheath::bpf
