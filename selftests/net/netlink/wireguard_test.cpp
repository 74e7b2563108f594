// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/if_arp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "loader/netlink/wireguard.hpp"
#include "sandbox.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

constexpr std::array<std::uint8_t, 32> kPrivate{0x48, 1, 2, 3, 0x40};

// No two alike, none the public half of kPrivate.
WireGuardPublicKey key(std::uint32_t number) {
  WireGuardPublicKey out{};
  for (int i = 0; i < 4; ++i) out[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> 8 * i);
  out[8] = 9;
  return out;
}

Cidr host4(std::uint32_t number) {
  IpAddress address;
  address.bytes = {10, static_cast<std::uint8_t>(number >> 16), static_cast<std::uint8_t>(number >> 8),
                   static_cast<std::uint8_t>(number)};
  return Cidr::host(address);
}

WireGuardPeerPatch peer(std::uint32_t number, std::vector<Cidr> allowed_ips) {
  WireGuardPeerPatch out;
  out.public_key = key(number);
  out.allowed_ips = std::move(allowed_ips);
  return out;
}

const WireGuardPeer* find(const WireGuardDevice& device, std::uint32_t number) {
  const auto found = std::ranges::find(device.peers, key(number), &WireGuardPeer::public_key);
  return found == device.peers.end() ? nullptr : &*found;
}

// A WireGuard device in a namespace of its own; without one in the kernel the case is skipped by name.
struct Tunnel : Sandbox {
  std::uint32_t ifindex = 0;
  std::optional<WireGuard> wireguard;

  bool make(const std::string& name) {
    const auto made = create_link(
        route(), {.name = "cilium_wg0", .kind = "wireguard", .mtu = 1420, .alias = "sheath", .put_data = {}});
    if (!made) {
      CHECK(made.error().error_number() == EOPNOTSUPP);
      CHECK(made.error().hint().find("CONFIG_WIREGUARD") != std::string::npos);
      const auto opened = WireGuard::open();
      REQUIRE_FALSE(opened.has_value());
      CHECK(opened.error().hint().find("CONFIG_WIREGUARD") != std::string::npos);
      skip(name, "this kernel has no WireGuard");
      return false;
    }
    ifindex = *made;
    auto opened = WireGuard::open();
    REQUIRE(opened);
    wireguard.emplace(std::move(*opened));
    return true;
  }

  WireGuardDevice get() {
    const auto device = wireguard->get(ifindex);
    REQUIRE_MESSAGE(device, (device ? "" : device.error().what()));
    return *device;
  }

  void set(const WireGuardPatch& patch) {
    const auto done = wireguard->set(ifindex, patch);
    REQUIRE_MESSAGE(done, (done ? "" : done.error().what()));
  }
};

}  // namespace

TEST_CASE("live wireguard: key, port and mark, one by one; the rest stays") {
  Tunnel tunnel;
  if (!tunnel.make("live wireguard: device")) return;
  const auto link = **find_link(tunnel.route(), "cilium_wg0");
  CHECK(link.hardware_type == ARPHRD_NONE);
  CHECK(link.mtu == 1420);
  CHECK(link.alias == "sheath");
  CHECK_FALSE(tunnel.get().public_key.has_value());

  tunnel.set({.private_key = kPrivate, .listen_port = {}, .fwmark = {}, .peers = {}});
  const auto public_key = tunnel.get().public_key;
  REQUIRE(public_key.has_value());
  tunnel.set({.private_key = {}, .listen_port = std::uint16_t{51871}, .fwmark = 0xe00u, .peers = {}});
  const auto device = tunnel.get();
  CHECK(device.ifindex == tunnel.ifindex);
  CHECK(device.name == "cilium_wg0");
  CHECK(device.public_key == public_key);
  CHECK(device.listen_port == 51871);
  CHECK(device.fwmark == 0xe00);
  CHECK(device.peers.empty());
}

TEST_CASE("live wireguard: peers are added, changed and removed without touching the others") {
  Tunnel tunnel;
  if (!tunnel.make("live wireguard: peers")) return;
  auto first = peer(1, {*Cidr::parse("10.244.1.0/24"), *Cidr::parse("fd00:10:244:1::/64")});
  first.endpoint = Endpoint{*IpAddress::parse("172.18.0.2"), 51871};
  first.keepalive = 25;
  auto second = peer(2, {*Cidr::parse("10.244.2.0/24")});
  second.endpoint = Endpoint{*IpAddress::parse("fd00:172:18::3"), 51871};
  tunnel.set({.private_key = kPrivate, .listen_port = {}, .fwmark = {}, .peers = {first, second}});
  auto device = tunnel.get();
  REQUIRE(device.peers.size() == 2);
  REQUIRE(find(device, 1) != nullptr);
  CHECK(find(device, 1)->endpoint == first.endpoint);
  CHECK(find(device, 1)->keepalive == 25);
  CHECK(find(device, 1)->allowed_ips.size() == 2);
  CHECK(find(device, 2)->endpoint == second.endpoint);
  CHECK(find(device, 1)->last_handshake_seconds == 0);

  auto unknown = peer(3, {});
  unknown.update_only = true;
  auto gone = peer(2, {});
  gone.remove = true;
  tunnel.set({.private_key = {}, .listen_port = {}, .fwmark = {}, .peers = {unknown, gone}});
  const auto after = tunnel.get();
  REQUIRE(after.peers.size() == 1);
  CHECK(after.peers.front() == *find(device, 1));
}

TEST_CASE("live wireguard: one allowed IP goes by way of a peer that is thrown away, the other stays") {
  Tunnel tunnel;
  if (!tunnel.make("live wireguard: allowed IPs")) return;
  const Cidr stays = *Cidr::parse("10.244.1.0/24"), goes = *Cidr::parse("10.244.9.0/24");
  tunnel.set({.private_key = kPrivate, .listen_port = {}, .fwmark = {}, .peers = {peer(1, {stays, goes})}});
  auto thrown_away = peer(99, {});
  thrown_away.remove = true;
  tunnel.set({.private_key = {}, .listen_port = {}, .fwmark = {}, .peers = {peer(99, {goes}), thrown_away}});
  const auto device = tunnel.get();
  REQUIRE(device.peers.size() == 1);
  CHECK(device.peers.front().allowed_ips == std::vector{stays});
}

// A peer that goes costs the kernel a wait for all processors, 10 ms and more in a guest: hence 5,000 only in the soak.
TEST_CASE("live wireguard: many peers with two allowed IPs each, and one with 3,000") {
  Tunnel tunnel;
  if (!tunnel.make("live wireguard: many")) return;
  const std::uint32_t peers = std::getenv("SHEATH_SOAK") != nullptr ? 5000 : 500;
  WireGuardPatch patch{.private_key = kPrivate, .listen_port = {}, .fwmark = {}, .peers = {}};
  patch.peers.reserve(peers + 1);
  for (std::uint32_t i = 0; i < peers; ++i) patch.peers.push_back(peer(i, {host4(2 * i), host4(2 * i + 1)}));
  std::vector<Cidr> many;
  many.reserve(3000);
  for (std::uint32_t i = 0; i < 3000; ++i) many.push_back(host4(100000 + i));
  patch.peers.push_back(peer(peers, many));
  tunnel.set(patch);

  const auto device = tunnel.get();
  REQUIRE(device.peers.size() == peers + 1);
  std::size_t wrong = 0;
  for (std::uint32_t i = 0; i < peers; ++i) {
    const WireGuardPeer* found = &device.peers[i];
    auto allowed = found->public_key == key(i) ? found->allowed_ips : std::vector<Cidr>{};
    std::ranges::sort(allowed);
    if (allowed != patch.peers[i].allowed_ips) ++wrong;
  }
  CHECK(wrong == 0);
  auto allowed = device.peers.back().allowed_ips;
  std::ranges::sort(allowed);
  CHECK(allowed == many);
}

TEST_CASE("live wireguard: a device that is none, or of another kind, is an error that says so") {
  Tunnel tunnel;
  if (!tunnel.make("live wireguard: errors")) return;
  CHECK(tunnel.wireguard->get(4711).error().error_number() == ENODEV);
  const Link veth = tunnel.add_veth("near", "far");
  const auto refused = tunnel.wireguard->get(veth.ifindex).error();
  CHECK(refused.error_number() == EOPNOTSUPP);
  CHECK(refused.what().find("read WireGuard device") == 0);
}
