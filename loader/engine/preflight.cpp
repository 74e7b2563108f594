// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/preflight.hpp"

#include <linux/capability.h>

#include <charconv>
#include <cstdint>
#include <string>

#include "loader/base/file.hpp"
#include "loader/netlink/links.hpp"
#include "loader/netlink/tunnel_links.hpp"
#include "loader/netlink/wireguard.hpp"
#include "loader/netlink/xfrm.hpp"
#include "loader/plan/model.hpp"

namespace sheath::engine {
namespace {

constexpr const char* kProbeDevice = "sheath_probe";
constexpr std::uint32_t kProbeIfId = 0x5ea7;

// proc(5): a line "CapEff:\t000001ffffffffff".
Result<std::uint64_t> effective_capabilities() {
  const auto status = read_file("/proc/self/status");
  if (!status) return fail(status.error());
  constexpr std::string_view kName = "CapEff:\t";
  const auto start = status->find(kName);
  if (start == std::string::npos) return fail("read /proc/self/status: no CapEff");
  std::uint64_t value = 0;
  const char* text = status->data() + start + kName.size();
  std::from_chars(text, status->data() + status->size(), value, 16);
  return value;
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
