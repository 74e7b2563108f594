// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/preflight.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>

#include "loader/netlink/links.hpp"
#include "loader/netlink/tunnel_links.hpp"
#include "loader/netlink/wireguard.hpp"
#include "loader/netlink/xfrm.hpp"
#include "loader/plan/model.hpp"

namespace sheath::engine {
namespace {

constexpr const char* kProbeDevice = "sheath_probe";
constexpr std::uint32_t kProbeIfId = 0x5ea7;

Result<std::uint64_t> effective_capabilities() {
  __user_cap_header_struct about{_LINUX_CAPABILITY_VERSION_3, 0};  // 0: of this process
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (syscall(SYS_capget, &about, sets.data()) != 0)
    return fail(Error::system("read this process's capabilities", errno));
  return std::uint64_t{sets[1].effective} << 32 | sets[0].effective;
}

bool has(std::uint64_t capabilities, int which) {
  return (capabilities >> which & 1) != 0;
}

// Makes the device and removes it.
Result<> try_device(netlink::Socket& socket, const netlink::NewLink& probe) {
  const auto made = netlink::create_link(socket, probe);
  if (!made && made.error().error_number() != EEXIST) return fail(made.error());
  const auto link = netlink::find_link(socket, kProbeDevice);
  if (!link) return fail(link.error());
  if (!*link) return {};
  return netlink::delete_link(socket, (*link)->ifindex);
}

}  // namespace

Result<> check_privileges() {
  const auto capabilities = effective_capabilities();
  if (!capabilities) return fail(capabilities.error());
  std::string missing;
  if (!has(*capabilities, CAP_NET_ADMIN)) missing = "CAP_NET_ADMIN";
  if (!has(*capabilities, CAP_SYS_ADMIN) && !has(*capabilities, CAP_BPF)) {
    missing += std::string(missing.empty() ? "" : " and ") + "CAP_BPF";
  }
  if (missing.empty()) return {};
  return fail(Error("no privileges: " + missing + " missing").hint("run it as root"));
}

Result<> check_wireguard(netlink::Socket& socket) {
  if (netlink::WireGuard::open()) return {};
  netlink::NewLink probe;
  probe.name = kProbeDevice;
  probe.kind = "wireguard";
  return try_device(socket, probe);
}

Result<> check_ipsec(netlink::Socket& socket) {
  if (auto opened = netlink::Xfrm::open(); !opened) return fail(std::move(opened.error()));
  const auto device = netlink::find_link(socket, plan::kXfrmDevice);
  if (!device) return fail(device.error());
  if (*device) return {};
  return try_device(socket, netlink::xfrm_link(kProbeDevice, kProbeIfId));
}

}  // namespace sheath::engine
