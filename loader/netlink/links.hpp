// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/netlink/socket.hpp"

// Network devices (rtnetlink, RTM_*LINK; linux/if_link.h). Every socket here is one of NETLINK_ROUTE.
namespace sheath::netlink {

using MacAddress = std::array<std::uint8_t, 6>;

// "aa:bb:cc:00:11:22"
std::string mac_text(const MacAddress& mac);

struct Vxlan {
  // UDP, of the outer packets.
  std::uint16_t port = 0;
  // Each packet brings its own tunnel key (collect metadata), instead of one VNI and peers that are learnt.
  bool external = false;

  bool operator==(const Vxlan&) const = default;
};

struct Link {
  std::uint32_t ifindex = 0;
  std::string name;
  // "veth", "wireguard", "xfrm", "vxlan"; empty for a device without one, such as a physical card or lo.
  std::string kind;
  std::string alias;
  std::uint32_t mtu = 0;
  // Administratively up (IFF_UP).
  bool up = false;
  // ARPHRD_ETHER, ARPHRD_NONE (WireGuard), ARPHRD_LOOPBACK, ...
  std::uint16_t hardware_type = 0;
  // Devices of Ethernet type only.
  std::optional<MacAddress> mac;
  // The device below, or a veth's other end (IFLA_LINK): an index in this namespace, or in that of peer_nsid if set.
  std::optional<std::uint32_t> peer_ifindex;
  // The ID that this namespace has for the other end's one; absent when both are in the same.
  std::optional<std::int32_t> peer_nsid;
  // The bridge, bond or VRF it belongs to.
  std::optional<std::uint32_t> master;
  // Of kind "xfrm": the if_id of its states and policies.
  std::optional<std::uint32_t> xfrm_if_id;
  // Of kind "vxlan".
  std::optional<Vxlan> vxlan;

  bool operator==(const Link&) const = default;
};

// A reply of type RTM_NEWLINK; nullopt for any other.
Result<std::optional<Link>> decode_link(const Reply& reply);

// In the order of the ifindex.
Result<std::vector<Link>> list_links(Socket& socket);
// nullopt when there is no such device.
Result<std::optional<Link>> find_link(Socket& socket, std::string_view name);
Result<std::optional<Link>> find_link(Socket& socket, std::uint32_t ifindex);
// The MAC address of a veth's other end. nullopt when it is not a veth with a known other end, for example because
// this namespace has no ID for the one it lives in.
Result<std::optional<MacAddress>> peer_mac(Socket& socket, const Link& link);

struct NewLink {
  // 1..15 bytes.
  std::string name;
  // "wireguard", "xfrm", "veth", "dummy", ...
  std::string kind;
  // 0: what the kernel takes by itself.
  std::uint32_t mtu = 0;
  // Empty: none. At most 255 bytes.
  std::string alias;
  // Puts the attributes of IFLA_INFO_DATA; empty: none.
  std::function<void(Message&)> put_data;
};

Message encode_new_link(const NewLink& link);

// Creates a device, down. Fails with EEXIST when the name is taken. A kernel that does not know the kind gives an error
// whose hint names the option and the module. Returns the new ifindex.
Result<std::uint32_t> create_link(Socket& socket, const NewLink& link);
Result<> set_link_mtu(Socket& socket, std::uint32_t ifindex, std::uint32_t mtu);
Result<> set_link_up(Socket& socket, std::uint32_t ifindex, bool up);
// No ARP and no neighbour discovery: everybody on the link is thought to have the device's own MAC address.
Result<> set_link_noarp(Socket& socket, std::uint32_t ifindex);
// An empty alias removes it.
Result<> set_link_alias(Socket& socket, std::uint32_t ifindex, std::string_view alias);
// Fails with ENODEV when it is gone already.
Result<> delete_link(Socket& socket, std::uint32_t ifindex);

}  // namespace sheath::netlink
