// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>

#include <algorithm>
#include <set>
#include <string>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/wireguard_codec.hpp"
#include "netlink_bytes.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

constexpr std::uint16_t kFamily = 33;

WireGuardPublicKey key(std::uint32_t number) {
  WireGuardPublicKey out{};
  for (int i = 0; i < 4; ++i) out[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> 8 * i);
  out[31] = 0x40;
  return out;
}

Cidr cidr(const std::string& text) {
  return *Cidr::parse(text);
}

// Host addresses 10.x.y.z/32 by number.
Cidr host4(std::uint32_t number) {
  IpAddress address;
  address.bytes = {10, static_cast<std::uint8_t>(number >> 16), static_cast<std::uint8_t>(number >> 8),
                   static_cast<std::uint8_t>(number)};
  return Cidr::host(address);
}

// SET and GET share their attributes, so that the decoder of one reads the other's messages.
WireGuardDevice decode(const std::vector<Message>& messages) {
  WireGuardDevice device;
  for (const Message& message : messages) {
    CHECK_FALSE(message.overflowed());
    REQUIRE(decode_wireguard_device(payload_of(message), device));
  }
  return device;
}

// All flags a peer is sent with, message by message.
std::vector<std::uint32_t> flags_of(const std::vector<Message>& messages) {
  std::vector<std::uint32_t> out;
  for (const Message& message : messages) {
    const auto parsed = parse_message<genlmsghdr>(payload_of(message));
    const auto list = parsed->attributes.nested(WGDEVICE_A_PEERS);
    for (const Attribute& item : list->all())
      out.push_back(Attributes::parse(item.value)->u32(WGPEER_A_FLAGS).value_or(0));
  }
  return out;
}

WireGuardPatch many_peers(std::uint32_t count) {
  WireGuardPatch patch;
  patch.peers.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    WireGuardPeerPatch peer;
    peer.public_key = key(i);
    peer.endpoint = Endpoint{host4(i).address, 51871};
    peer.keepalive = 25;
    peer.allowed_ips = {host4(2 * i), host4(2 * i + 1)};
    patch.peers.push_back(peer);
  }
  return patch;
}

}  // namespace

TEST_CASE("wireguard: a patch is read back field by field, both families") {
  std::array<std::uint8_t, 32> secret{};
  secret.fill(0x5a);
  WireGuardPatch patch;
  patch.private_key = secret;
  patch.listen_port = 51871;
  patch.fwmark = 0xe00;
  patch.peers = {{.public_key = key(1),
                  .endpoint = Endpoint{*IpAddress::parse("172.18.0.4"), 51871},
                  .keepalive = std::uint16_t{25},
                  .allowed_ips = {cidr("10.244.1.0/24"), cidr("fd00:10:244:1::/64")}},
                 {.public_key = key(2),
                  .endpoint = Endpoint{*IpAddress::parse("fd00::5"), 1},
                  .keepalive = {},
                  .allowed_ips = {}}};
  const auto messages = encode_wireguard_set(kFamily, 12, patch);
  REQUIRE(messages);
  REQUIRE(messages->size() == 1);
  const auto device = decode(*messages);
  CHECK(device.ifindex == 12);
  CHECK(device.listen_port == 51871);
  CHECK(device.fwmark == 0xe00);
  REQUIRE(device.peers.size() == 2);
  CHECK(device.peers[0].public_key == key(1));
  CHECK(device.peers[0].endpoint == patch.peers[0].endpoint);
  CHECK(device.peers[0].keepalive == 25);
  CHECK(device.peers[0].allowed_ips == patch.peers[0].allowed_ips);
  CHECK(device.peers[1].endpoint == patch.peers[1].endpoint);
  CHECK(device.peers[1].allowed_ips.empty());

  nlmsghdr header;
  std::memcpy(&header, messages->front().bytes().data(), sizeof header);
  CHECK(header.nlmsg_type == kFamily);
  const auto parsed = parse_message<genlmsghdr>(payload_of(messages->front()));
  CHECK(parsed->header.cmd == WG_CMD_SET_DEVICE);
  CHECK(std::ranges::equal(*parsed->attributes.find(WGDEVICE_A_PRIVATE_KEY), secret));
}

TEST_CASE("wireguard: what a patch does not name is not sent") {
  const auto messages = encode_wireguard_set(kFamily, 12, {});
  REQUIRE(messages->size() == 1);
  const auto parsed = parse_message<genlmsghdr>(payload_of(messages->front()));
  CHECK(parsed->attributes.all().size() == 1);
  CHECK(parsed->attributes.u32(WGDEVICE_A_IFINDEX) == 12u);
}

TEST_CASE("wireguard: a peer that goes is sent with its key and the flag only") {
  WireGuardPatch patch;
  patch.peers = {
      {.public_key = key(1), .remove = true, .endpoint = {}, .keepalive = {}, .allowed_ips = {cidr("10.0.0.0/8")}}};
  const auto messages = encode_wireguard_set(kFamily, 12, patch);
  CHECK(flags_of(*messages) == std::vector<std::uint32_t>{WGPEER_F_REMOVE_ME});
  CHECK(decode(*messages).peers.front().allowed_ips.empty());
}

TEST_CASE("wireguard: 5,000 peers with two allowed IPs each go out in messages that fit, and come together again") {
  const auto patch = many_peers(5000);
  const auto messages = encode_wireguard_set(kFamily, 12, patch);
  REQUIRE(messages);
  CHECK(messages->size() > 1);
  CHECK(messages->size() < 100);
  for (const Message& message : *messages) CHECK(message.bytes().size() <= kWireGuardMessageSize);
  const auto device = decode(*messages);
  REQUIRE(device.peers.size() == 5000);
  bool same = true;
  for (std::size_t i = 0; i < device.peers.size(); ++i) {
    same = same && device.peers[i].public_key == patch.peers[i].public_key &&
           device.peers[i].allowed_ips == patch.peers[i].allowed_ips &&
           device.peers[i].endpoint == patch.peers[i].endpoint;
  }
  CHECK(same);
}

TEST_CASE("wireguard: the allowed IPs of one peer go on in the next message, where nothing is replaced or made anew") {
  WireGuardPatch patch;
  WireGuardPeerPatch peer;
  peer.public_key = key(1);
  peer.replace_allowed_ips = true;
  peer.allowed_ips.reserve(3000);
  for (std::uint32_t i = 0; i < 3000; ++i) peer.allowed_ips.push_back(host4(i));
  patch.peers = {peer};
  const auto messages = encode_wireguard_set(kFamily, 12, patch);
  REQUIRE(messages->size() > 2);
  auto flags = flags_of(*messages);
  CHECK(flags.front() == WGPEER_F_REPLACE_ALLOWEDIPS);
  flags.erase(flags.begin());
  CHECK(std::set(flags.begin(), flags.end()) == std::set<std::uint32_t>{WGPEER_F_UPDATE_ONLY});
  const auto device = decode(*messages);
  REQUIRE(device.peers.size() == 1);
  CHECK(device.peers.front().allowed_ips == peer.allowed_ips);
}

TEST_CASE("wireguard: any message size either carries everything or is refused") {
  auto patch = many_peers(7);
  std::array<std::uint8_t, 32> secret{};
  patch.private_key = secret;
  patch.listen_port = 1;
  patch.fwmark = 1;
  for (auto& peer : patch.peers) {
    peer.endpoint = Endpoint{*IpAddress::parse("fd00::1"), 2};
    peer.replace_allowed_ips = true;
    peer.allowed_ips.push_back(cidr("fd00:1::/64"));
  }
  int refused = 0;
  for (std::size_t size = 16; size < 1200; size += 4) {
    CAPTURE(size);
    const auto messages = encode_wireguard_set(kFamily, 12, patch, size);
    if (!messages) {
      ++refused;
      continue;
    }
    const auto device = decode(*messages);
    REQUIRE(device.peers.size() == 7);
    for (std::size_t i = 0; i < 7; ++i) CHECK(device.peers[i].allowed_ips == patch.peers[i].allowed_ips);
  }
  CHECK(refused > 0);
  CHECK_FALSE(encode_wireguard_set(kFamily, 12, patch, 65536).has_value());
}

TEST_CASE("wireguard: counters and the last handshake are read") {
  Message message(kFamily);
  message.put_struct(genlmsghdr{WG_CMD_GET_DEVICE, WG_GENL_VERSION, 0});
  message.put_string(WGDEVICE_A_IFNAME, "cilium_wg0");
  message.put(WGDEVICE_A_PUBLIC_KEY, key(9));
  {
    auto peers = message.nest(WGDEVICE_A_PEERS);
    auto peer = message.nest(0);
    message.put(WGPEER_A_PUBLIC_KEY, key(1));
    const __kernel_timespec time{1700000000, 5};
    message.put(WGPEER_A_LAST_HANDSHAKE_TIME, {reinterpret_cast<const std::uint8_t*>(&time), sizeof time});
    const std::uint64_t bytes = 1ull << 40;
    message.put(WGPEER_A_RX_BYTES, {reinterpret_cast<const std::uint8_t*>(&bytes), sizeof bytes});
  }
  WireGuardDevice device;
  REQUIRE(decode_wireguard_device(payload_of(message), device));
  CHECK(device.name == "cilium_wg0");
  CHECK(device.public_key == key(9));
  REQUIRE(device.peers.size() == 1);
  CHECK(device.peers[0].last_handshake_seconds == 1700000000);
  CHECK(device.peers[0].last_handshake_nanoseconds == 5);
  CHECK(device.peers[0].rx_bytes == 1ull << 40);
  CHECK_FALSE(device.peers[0].endpoint.has_value());
}

TEST_CASE("wireguard: malformed peers are errors") {
  struct Case {
    const char* what;
    std::function<void(Message&)> put;
  };
  const std::uint8_t bytes[32] = {2};
  const Case cases[] = {{"no key", [&](Message& m) { m.put_u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 1); }},
                        {"short key", [&](Message& m) { m.put(WGPEER_A_PUBLIC_KEY, Bytes(bytes).first(31)); }},
                        {"endpoint of no family",
                         [&](Message& m) {
                           m.put(WGPEER_A_PUBLIC_KEY, bytes);
                           m.put(WGPEER_A_ENDPOINT, Bytes(key(0)).first(16));
                         }},
                        {"allowed IP of a wrong length", [&](Message& m) {
                           m.put(WGPEER_A_PUBLIC_KEY, bytes);
                           auto list = m.nest(WGPEER_A_ALLOWEDIPS);
                           auto item = m.nest(0);
                           m.put_u16(WGALLOWEDIP_A_FAMILY, 2);
                           m.put(WGALLOWEDIP_A_IPADDR, Bytes(bytes).first(4));
                           m.put_u8(WGALLOWEDIP_A_CIDR_MASK, 33);
                         }}};
  for (const auto& [what, put] : cases) {
    CAPTURE(what);
    Message message(kFamily);
    message.put_struct(genlmsghdr{WG_CMD_GET_DEVICE, WG_GENL_VERSION, 0});
    {
      auto peers = message.nest(WGDEVICE_A_PEERS);
      auto peer = message.nest(0);
      put(message);
    }
    WireGuardDevice device;
    CHECK_FALSE(decode_wireguard_device(payload_of(message), device).has_value());
  }
}
