// SPDX-License-Identifier: Apache-2.0
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include <algorithm>

#include "loader/netlink/wire_address.hpp"
#include "loader/netlink/wireguard_codec.hpp"

namespace sheath::netlink {
namespace {

// The most that an allowed IP takes: nest, family, IPv6 address, length.
constexpr std::size_t kAllowedIpSize = 4 + 8 + 20 + 8;
// The most that a peer takes beside its allowed IPs: nest, key, flags, endpoint (sockaddr_in6), keepalive, nest of the
// allowed IPs.
constexpr std::size_t kPeerSize = 4 + 36 + 8 + 32 + 8 + 4;
// Headers, index, private key, port, fwmark, nest of the peers.
constexpr std::size_t kDeviceSize = 16 + 4 + 8 + 36 + 8 + 8 + 4;
// A nested attribute's length is 16 bits wide.
constexpr std::size_t kMaxMessageSize = 65535;

// Where in the list of peers the next message goes on.
struct Position {
  std::size_t peer = 0;
  std::size_t allowed_ip = 0;
};

Message new_message(std::uint16_t family, std::uint8_t command, std::uint32_t ifindex, std::size_t capacity) {
  Message message(family, 0, capacity);
  message.put_struct(genlmsghdr{command, WG_GENL_VERSION, 0});
  message.put_u32(WGDEVICE_A_IFINDEX, ifindex);
  return message;
}

void put_device(Message& message, const WireGuardPatch& patch) {
  if (patch.private_key) {
    message.set_secret();
    message.put(WGDEVICE_A_PRIVATE_KEY, *patch.private_key);
  }
  if (patch.listen_port) message.put_u16(WGDEVICE_A_LISTEN_PORT, *patch.listen_port);
  if (patch.fwmark) message.put_u32(WGDEVICE_A_FWMARK, *patch.fwmark);
}

template <typename T>
Bytes raw(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

void put_endpoint(Message& message, const Endpoint& endpoint) {
  const auto bytes = address_bytes(endpoint.address);
  if (endpoint.address.family == Family::kIpv4) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    std::ranges::copy(bytes, reinterpret_cast<std::uint8_t*>(&address.sin_addr));
    return message.put(WGPEER_A_ENDPOINT, raw(address));
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::ranges::copy(bytes, reinterpret_cast<std::uint8_t*>(&address.sin6_addr));
  message.put(WGPEER_A_ENDPOINT, raw(address));
}

void put_allowed_ip(Message& message, const Cidr& cidr) {
  auto nest = message.nest(0);
  message.put_u16(WGALLOWEDIP_A_FAMILY, static_cast<std::uint16_t>(address_family(cidr.address.family)));
  message.put(WGALLOWEDIP_A_IPADDR, address_bytes(cidr.address));
  message.put_u8(WGALLOWEDIP_A_CIDR_MASK, cidr.length);
}

// What a peer says in the first message that has it. In a further one only its allowed IPs go on, and only if it still
// exists: somebody may have removed it in between.
void put_peer_fields(Message& message, const WireGuardPeerPatch& peer, bool continued) {
  message.put(WGPEER_A_PUBLIC_KEY, peer.public_key);
  if (continued) return message.put_u32(WGPEER_A_FLAGS, WGPEER_F_UPDATE_ONLY);
  std::uint32_t flags = 0;
  if (peer.remove) flags |= WGPEER_F_REMOVE_ME;
  if (peer.update_only) flags |= WGPEER_F_UPDATE_ONLY;
  if (peer.replace_allowed_ips) flags |= WGPEER_F_REPLACE_ALLOWEDIPS;
  if (flags != 0) message.put_u32(WGPEER_A_FLAGS, flags);
  if (peer.remove) return;
  if (peer.endpoint) put_endpoint(message, *peer.endpoint);
  if (peer.keepalive) message.put_u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, *peer.keepalive);
}

// As much of the peer as fits; at least one allowed IP does. Moves the position to what comes next.
void put_peer(Message& message, const WireGuardPeerPatch& peer, Position& position) {
  auto nest = message.nest(0);
  put_peer_fields(message, peer, position.allowed_ip > 0);
  const std::size_t count = peer.remove ? 0 : peer.allowed_ips.size();
  if (position.allowed_ip < count) {
    auto list = message.nest(WGPEER_A_ALLOWEDIPS);
    while (position.allowed_ip < count && message.room() >= kAllowedIpSize) {
      put_allowed_ip(message, peer.allowed_ips[position.allowed_ip++]);
    }
  }
  if (position.allowed_ip >= count) position = {position.peer + 1, 0};
}

void put_peers(Message& message, const std::vector<WireGuardPeerPatch>& peers, Position& position) {
  if (position.peer >= peers.size()) return;
  auto nest = message.nest(WGDEVICE_A_PEERS);
  while (position.peer < peers.size() && message.room() >= kPeerSize + kAllowedIpSize) {
    put_peer(message, peers[position.peer], position);
  }
}

}  // namespace

Message encode_wireguard_get(std::uint16_t family, std::uint32_t ifindex) {
  return new_message(family, WG_CMD_GET_DEVICE, ifindex, Message::kDefaultCapacity);
}

Result<std::vector<Message>> encode_wireguard_set(std::uint16_t family, std::uint32_t ifindex,
                                                  const WireGuardPatch& patch, std::size_t max_bytes) {
  if (max_bytes < kDeviceSize + kPeerSize + kAllowedIpSize || max_bytes > kMaxMessageSize) {
    return fail("a WireGuard message of at most " + std::to_string(max_bytes) + " bytes cannot be made");
  }
  std::vector<Message> messages;
  Position position;
  do {
    Message message = new_message(family, WG_CMD_SET_DEVICE, ifindex, max_bytes);
    if (messages.empty()) put_device(message, patch);
    put_peers(message, patch.peers, position);
    messages.push_back(std::move(message));
  } while (position.peer < patch.peers.size());
  return messages;
}

}  // namespace sheath::netlink
