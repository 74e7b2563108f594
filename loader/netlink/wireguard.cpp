// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/wireguard.hpp"

#include <linux/netlink.h>
#include <linux/wireguard.h>

#include <string>
#include <utility>

#include "loader/netlink/generic.hpp"
#include "loader/netlink/wireguard_codec.hpp"

namespace sheath::netlink {

static_assert(kWireGuardKeySize == WG_KEY_LEN);

Result<WireGuard> WireGuard::open() {
  auto socket = Socket::open(NETLINK_GENERIC);
  if (!socket) return fail(std::move(socket.error()));
  const auto family = find_family(*socket, WG_GENL_NAME);
  if (!family) return fail(family.error());
  if (!*family) {
    return fail(Error("this kernel has no WireGuard")
                    .hint("the kernel needs CONFIG_WIREGUARD; if it is a module: modprobe wireguard"));
  }
  return WireGuard(std::move(*socket), **family);
}

Result<WireGuardDevice> WireGuard::get(std::uint32_t ifindex) {
  WireGuardDevice device;
  Message message = encode_wireguard_get(family_, ifindex);
  auto done = socket_.dump(
      message, [&] { device = {}; },
      [&](const Reply& reply) { return decode_wireguard_device(reply.payload, device); });
  if (!done) return fail(std::move(done.error()).context("read WireGuard device " + std::to_string(ifindex)));
  return device;
}

Result<> WireGuard::set(std::uint32_t ifindex, const WireGuardPatch& patch) {
  auto messages = encode_wireguard_set(family_, ifindex, patch);
  if (!messages) return fail(std::move(messages.error()));
  for (Message& message : *messages) {
    if (auto done = socket_.request(message); !done) {
      return fail(std::move(done.error()).context("configure WireGuard device " + std::to_string(ifindex)));
    }
  }
  return {};
}

}  // namespace sheath::netlink
