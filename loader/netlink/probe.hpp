// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"
#include "loader/netlink/message.hpp"

// Single packets. Needs CAP_NET_RAW; a mark CAP_NET_ADMIN.
namespace sheath::netlink {

// "For experimentation and testing" (RFC 3692).
inline constexpr std::uint8_t kProbeProtocol = 253;
// A probe's payload: this text, its zero behind it, the generation, two zeros.
inline constexpr std::array<std::uint8_t, 13> kProbeText = {'s', 'h', 'e', 'a', 't', 'h', '-',
                                                            'p', 'r', 'o', 'b', 'e', 0};
inline constexpr std::size_t kProbePayloadSize = 16;

// An IP packet, header included, that asks the peer nothing and tells it two things: that the key it came by works, and
// which generation (0: none) the sender's data uses. Both addresses are of one family.
std::vector<std::uint8_t> probe_packet(const IpAddress& source, const IpAddress& destination, std::uint8_t uses);

// An IP packet of kProbeProtocol, header included. Both addresses are of one family.
std::vector<std::uint8_t> ip_packet(const IpAddress& source, const IpAddress& destination, Bytes payload);

// Sends IP packets past the routing table, out of a device, as if a program had redirected them there: the device's own
// egress is all that sees them. One for many packets: the kernel waits a grace period of RCU when it is closed
// (packet_release), some 10 ms.
class PacketSocket {
 public:
  // In this thread's network namespace.
  static Result<PacketSocket> open();

  // The packet's version says which IP it is. Fails with ENETDOWN when the device is down, ENXIO when it is gone.
  Result<> send(std::uint32_t ifindex, std::uint32_t mark, Bytes packet);

 private:
  explicit PacketSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

// Sends an IP packet as it is, by the routing table and through the host's netfilter; its source may be anybody's.
Result<> send_routed(const IpAddress& destination, Bytes packet);

}  // namespace sheath::netlink
