// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/netlink/wireguard.hpp"

// Messages of the generic netlink family "wireguard" from and to plain structs, without a socket. Splitting and
// coalescing follow linux/wireguard.h. `family` is the ID that the kernel gave the family.
namespace sheath::netlink {

// Below the limit of a nested attribute (64 KiB - 1) and of a socket's send buffer.
inline constexpr std::size_t kWireGuardMessageSize = 32768;

Message encode_wireguard_get(std::uint16_t family, std::uint32_t ifindex);

// The messages that, sent one after another, apply the patch. The device's own fields are in the first; a peer whose
// allowed IPs do not fit goes on in the next, with its key and the rest of them only. Fails when max_bytes is too small
// for one peer with one allowed IP.
Result<std::vector<Message>> encode_wireguard_set(std::uint16_t family, std::uint32_t ifindex,
                                                  const WireGuardPatch& patch,
                                                  std::size_t max_bytes = kWireGuardMessageSize);

// Puts the messages of one dump together: adds the payload of a message (from its generic netlink header on) to the
// device. A peer with the key of the last one continues it.
Result<> decode_wireguard_device(Bytes payload, WireGuardDevice& device);

}  // namespace sheath::netlink
