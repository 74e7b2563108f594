// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/netlink/socket.hpp"

// Configuration of WireGuard devices (generic netlink family "wireguard"; linux/wireguard.h, whose head comment is the
// source of the rules below). Needs CAP_NET_ADMIN for reading too.
namespace sheath::netlink {

inline constexpr std::size_t kWireGuardKeySize = 32;
using WireGuardPublicKey = std::array<std::uint8_t, kWireGuardKeySize>;

struct WireGuardPeer {
  WireGuardPublicKey public_key{};
  std::optional<Endpoint> endpoint;
  // Since the epoch, of the realtime clock; both 0: there was none yet.
  std::int64_t last_handshake_seconds = 0;
  std::int64_t last_handshake_nanoseconds = 0;
  // Outer bytes, handshakes and keepalives included.
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
  // Seconds; 0: off.
  std::uint16_t keepalive = 0;
  std::vector<Cidr> allowed_ips;

  bool operator==(const WireGuardPeer&) const = default;
};

// What a device says of itself, without its private key: that is never read out of the answer.
struct WireGuardDevice {
  std::uint32_t ifindex = 0;
  std::string name;
  // Absent: the device has no key yet.
  std::optional<WireGuardPublicKey> public_key;
  std::uint16_t listen_port = 0;
  // Of the outer packets; 0: none.
  std::uint32_t fwmark = 0;
  std::vector<WireGuardPeer> peers;

  bool operator==(const WireGuardDevice&) const = default;
};

// One peer's change. Peers are changed in the order of the list; an allowed IP that another peer holds moves to this
// one.
struct WireGuardPeerPatch {
  WireGuardPublicKey public_key{};
  // The peer goes, with its allowed IPs; all else here is ignored.
  bool remove = false;
  // Do nothing if there is no such peer, instead of making it.
  bool update_only = false;
  // Drop the allowed IPs it has before those below are added. (Unchanged ones are lost for a moment.)
  bool replace_allowed_ips = false;
  std::optional<Endpoint> endpoint;
  // Seconds; 0 turns it off.
  std::optional<std::uint16_t> keepalive;
  std::vector<Cidr> allowed_ips;
};

// Absent fields stay as they are.
struct WireGuardPatch {
  // Borrowed until the call returns; the copy in the message is wiped. All zeros take the device's key away. A peer
  // whose key is the public half of this one is removed by the kernel.
  std::optional<std::span<const std::uint8_t, kWireGuardKeySize>> private_key;
  // UDP; 0: the kernel chooses.
  std::optional<std::uint16_t> listen_port;
  std::optional<std::uint32_t> fwmark;
  std::vector<WireGuardPeerPatch> peers;
};

class WireGuard {
 public:
  // Fails, with a hint what to enable, on a kernel without WireGuard or with its module not loaded (creating a device
  // of kind wireguard loads it).
  static Result<WireGuard> open();

  // Fails with ENODEV (no such device) or EOPNOTSUPP (not a WireGuard one).
  Result<WireGuardDevice> get(std::uint32_t ifindex);

  // A patch that does not fit into one message goes out as several: if one of them fails, those before it stay applied.
  // Applying the same patch again finishes the job. One message holds about 200 peers with two allowed IPs each.
  Result<> set(std::uint32_t ifindex, const WireGuardPatch& patch);

 private:
  WireGuard(Socket socket, std::uint16_t family) : socket_(std::move(socket)), family_(family) {}
  Socket socket_;
  std::uint16_t family_;
};

}  // namespace sheath::netlink
