// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/clsact.hpp"

#include <bpf/libbpf.h>
#include <linux/netlink.h>

#include "loader/bpf/attachment.hpp"
#include "loader/bpf/error.hpp"
#include "loader/bpf/program.hpp"
#include "loader/netlink/socket.hpp"
#include "loader/netlink/tc.hpp"
#include "maps/names.hpp"

namespace sheath::bpf {
namespace {

bpf_tc_hook hook_of(sheath_direction program, std::uint32_t ifindex) {
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(ifindex),
              .attach_point = maps::is_on_egress(program) ? BPF_TC_EGRESS : BPF_TC_INGRESS);
  return hook;
}

bpf_tc_opts our_filter() {
  LIBBPF_OPTS(bpf_tc_opts, options, .handle = kFilterHandle, .priority = kFilterPriority);
  return options;
}

// Whether the filter in our place runs that program of ours. nullopt: there is no filter.
Result<std::optional<bool>> is_ours(sheath_direction program, std::uint32_t ifindex) {
  const auto id = clsact_program(program, ifindex);
  if (!id) return fail(id.error());
  if (!*id) return std::nullopt;
  const auto info = read_program(**id);
  if (!info && info.error().error_number() != ENOENT) return fail(info.error());
  return info && info->name == maps::direction_name(program);
}

// The mark comes first: a kill between the two leaves a mark without a qdisc, which harms nobody, rather than a qdisc
// that nobody would remove.
Result<> make_qdisc(const fs::path& bpffs, const Place& place, bpf_tc_hook hook) {
  const auto mark = clsact_mark(bpffs, place.device);
  std::error_code ignored;
  const bool marked = fs::exists(mark, ignored);
  if (auto made = make_pin_folder(mark); !made) return made;
  LogCapture log;
  const int failed = bpf_tc_hook_create(&hook);
  if (failed == 0) return {};
  if (!marked) fs::remove(mark, ignored);
  if (failed == -EEXIST) return {};
  return fail(kernel_error("add the clsact qdisc", failed, log));
}

// Only of a qdisc that we made, and only when nobody has a filter in it.
Result<> drop_qdisc(const fs::path& bpffs, const Place& place, std::uint32_t ifindex) {
  const auto mark = clsact_mark(bpffs, place.device);
  std::error_code ignored;
  if (!fs::exists(mark, ignored)) return {};
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  if (!socket) return fail(socket.error());
  const auto gone = netlink::delete_clsact_if_empty(*socket, ifindex);
  if (!gone) return fail(gone.error());
  if (*gone) fs::remove(mark, ignored);
  return {};
}

}  // namespace

Result<std::optional<std::uint32_t>> clsact_program(sheath_direction program, std::uint32_t ifindex) {
  LogCapture log;
  const auto hook = hook_of(program, ifindex);
  auto filter = our_filter();
  const int failed = bpf_tc_query(&hook, &filter);
  if (failed == 0) return filter.prog_id;
  // EINVAL: the device has no clsact qdisc, or another kind of filter has the priority.
  if (failed == -ENOENT || failed == -EINVAL || failed == -ENODEV) return std::nullopt;
  return fail(kernel_error("look for our filter on device " + std::to_string(ifindex), failed, log));
}

Result<> clsact_attach(const fs::path& bpffs, const Place& place, std::uint32_t ifindex, int program_fd) {
  const auto hook = hook_of(place.program, ifindex);
  if (auto made = make_qdisc(bpffs, place, hook); !made) return made;
  const auto ours = is_ours(place.program, ifindex);
  if (!ours) return fail(ours.error());
  if (*ours && !**ours) {
    return fail(Error("a filter that is not ours has priority 1, handle 0x5ea7")
                    .hint("see `tc filter show dev " + place.device + "`; remove it or move it elsewhere"));
  }
  auto filter = our_filter();
  filter.prog_fd = program_fd;
  filter.flags = BPF_TC_F_REPLACE;
  LogCapture log;
  if (const int failed = bpf_tc_attach(&hook, &filter); failed != 0) {
    return fail(kernel_error("add the filter", failed, log));
  }
  return {};
}

Result<> clsact_detach(const fs::path& bpffs, const Place& place, std::uint32_t ifindex) {
  const auto ours = is_ours(place.program, ifindex);
  if (!ours) return fail(ours.error());
  if (*ours && **ours) {
    LogCapture log;
    const auto hook = hook_of(place.program, ifindex);
    const auto filter = our_filter();
    if (const int failed = bpf_tc_detach(&hook, &filter); failed != 0 && failed != -ENOENT) {
      return fail(kernel_error("remove the filter", failed, log));
    }
  }
  return drop_qdisc(bpffs, place, ifindex);
}

}  // namespace sheath::bpf
