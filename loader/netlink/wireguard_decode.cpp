// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include <cstddef>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/wire_address.hpp"
#include "loader/netlink/wireguard_codec.hpp"

namespace sheath::netlink {
namespace {

// A sockaddr_in or a sockaddr_in6.
std::optional<Endpoint> decode_endpoint(Bytes bytes) {
  sockaddr_in6 socket_address{};
  if (bytes.size() < sizeof(sockaddr_in) || bytes.size() > sizeof socket_address) return std::nullopt;
  std::memcpy(&socket_address, bytes.data(), bytes.size());
  const auto family = family_of(socket_address.sin6_family);
  if (!family) return std::nullopt;
  if (*family == Family::kIpv6 && bytes.size() != sizeof socket_address) return std::nullopt;
  const std::size_t offset =
      *family == Family::kIpv4 ? offsetof(sockaddr_in, sin_addr) : offsetof(sockaddr_in6, sin6_addr);
  const auto address = read_address(*family, bytes.subspan(offset, IpAddress{*family, {}}.size()));
  // The port is at the same place in both.
  return Endpoint{*address, ntohs(socket_address.sin6_port)};
}

Result<Cidr> decode_allowed_ip(Bytes bytes) {
  const auto attributes = Attributes::parse(bytes);
  if (!attributes) return fail(attributes.error());
  const auto family = family_of(attributes->value<std::uint16_t>(WGALLOWEDIP_A_FAMILY).value_or(AF_UNSPEC));
  const auto length = attributes->value<std::uint8_t>(WGALLOWEDIP_A_CIDR_MASK);
  const auto address = family ? read_address(*family, attributes->find(WGALLOWEDIP_A_IPADDR)) : std::nullopt;
  if (!address || !length || *length > address->size() * 8) return fail("WireGuard allowed IP is malformed");
  return Cidr{*address, *length};
}

Result<> decode_allowed_ips(const Attributes& peer, std::vector<Cidr>& out) {
  const auto list = peer.nested(WGPEER_A_ALLOWEDIPS);
  if (!list) return fail(list.error());
  for (const Attribute& item : list->all()) {
    const auto cidr = decode_allowed_ip(item.value);
    if (!cidr) return fail(cidr.error());
    out.push_back(*cidr);
  }
  return {};
}

Result<WireGuardPeer> decode_peer_fields(const WireGuardPublicKey& key, const Attributes& attributes) {
  WireGuardPeer peer;
  peer.public_key = key;
  if (const auto bytes = attributes.find(WGPEER_A_ENDPOINT)) {
    peer.endpoint = decode_endpoint(*bytes);
    if (!peer.endpoint) return fail("endpoint of a WireGuard peer is malformed");
  }
  const auto handshake = attributes.value<__kernel_timespec>(WGPEER_A_LAST_HANDSHAKE_TIME);
  if (handshake) {
    peer.last_handshake_seconds = handshake->tv_sec;
    peer.last_handshake_nanoseconds = handshake->tv_nsec;
  }
  peer.rx_bytes = attributes.value<std::uint64_t>(WGPEER_A_RX_BYTES).value_or(0);
  peer.tx_bytes = attributes.value<std::uint64_t>(WGPEER_A_TX_BYTES).value_or(0);
  peer.keepalive = attributes.value<std::uint16_t>(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL).value_or(0);
  return peer;
}

Result<> decode_peer(Bytes bytes, std::vector<WireGuardPeer>& peers) {
  const auto attributes = Attributes::parse(bytes);
  if (!attributes) return fail(attributes.error());
  const auto key = attributes->value<WireGuardPublicKey>(WGPEER_A_PUBLIC_KEY);
  if (!key) return fail("WireGuard peer has no public key");
  if (peers.empty() || peers.back().public_key != *key) {
    auto peer = decode_peer_fields(*key, *attributes);
    if (!peer) return fail(std::move(peer.error()));
    peers.push_back(std::move(*peer));
  }
  return decode_allowed_ips(*attributes, peers.back().allowed_ips);
}

// Only the first message of a dump has these.
void decode_device_fields(const Attributes& attributes, WireGuardDevice& device) {
  if (const auto ifindex = attributes.u32(WGDEVICE_A_IFINDEX)) device.ifindex = *ifindex;
  if (const auto name = attributes.string(WGDEVICE_A_IFNAME)) device.name = *name;
  if (const auto key = attributes.value<WireGuardPublicKey>(WGDEVICE_A_PUBLIC_KEY)) device.public_key = *key;
  if (const auto port = attributes.value<std::uint16_t>(WGDEVICE_A_LISTEN_PORT)) device.listen_port = *port;
  if (const auto mark = attributes.u32(WGDEVICE_A_FWMARK)) device.fwmark = *mark;
}

}  // namespace

Result<> decode_wireguard_device(Bytes payload, WireGuardDevice& device) {
  const auto message = parse_message<genlmsghdr>(payload);
  if (!message) return fail(message.error());
  decode_device_fields(message->attributes, device);
  const auto peers = message->attributes.nested(WGDEVICE_A_PEERS);
  if (!peers) return fail(peers.error());
  for (const Attribute& item : peers->all()) {
    if (auto done = decode_peer(item.value, device.peers); !done) return done;
  }
  return {};
}

}  // namespace sheath::netlink
