// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/keys/ipsec_key.hpp"
#include "loader/plan/rotation.hpp"

// The IPsec engine in the planner's words: what the kernel holds for it. Plain data; no key is in it, only digests.
namespace sheath::plan {

inline constexpr const char* kXfrmDevice = "cilium_xfrm0";
inline constexpr std::uint32_t kXfrmIfId = 1;
inline constexpr const char* kOverlayDevice = "cilium_vxlan";
inline constexpr std::uint16_t kVxlanPort = 8472;        // what Linux and Cilium use; RFC 7348 says 4789
inline constexpr std::uint32_t kVxlanOverheadIpv4 = 50;  // outer IPv4 20 + UDP 8 + VXLAN 8 + inner Ethernet 14
inline constexpr std::uint32_t kVxlanOverheadIpv6 = 70;

// The addresses of the outer packets: node IPs, or router IPs inside VXLAN.
struct TunnelEnds {
  IpAddress own;
  IpAddress peer;
  auto operator<=>(const TunnelEnds&) const = default;
};

enum class StateUse : std::uint8_t { kTransmit, kReceive };

// A security association of ours (RFC 4303). The kernel knows it by destination and SPI.
struct EspState {
  StateUse use = StateUse::kTransmit;
  std::uint16_t node_id = 0;  // the peer
  std::uint8_t generation = 0;
  TunnelEnds ends;
  std::uint32_t spi = 0;  // host order
  auto operator<=>(const EspState&) const = default;
};

// The same as the kernel shows it.
struct SeenState {
  EspState state;
  std::optional<keys::KeyDigest> digest;  // nullopt: the kernel does not show keys (lockdown)
  std::uint64_t sequence = 0;             // of a transmit state: packets sent so far
};

// Sends what leaves `source` for `destination` under the peer's transmit mark through one state.
struct EspPolicy {
  Cidr source;
  Cidr destination;
  std::uint16_t node_id = 0;
  std::uint8_t generation = 0;
  TunnelEnds ends;
  std::uint32_t spi = 0;
  auto operator<=>(const EspPolicy&) const = default;
};

struct XfrmDevice {
  std::uint32_t mtu = 0;
  bool up = false;
  bool operator==(const XfrmDevice&) const = default;
};

struct Overlay {
  std::uint32_t mtu = 0;
  bool up = false;
  std::uint16_t port = kVxlanPort;
  std::set<IpAddress> addresses;                    // this node's router IPs, where no other device has them
  std::map<Cidr, std::optional<IpAddress>> routes;  // the peers' router IPs and pod CIDRs, with their preferred source
  bool operator==(const Overlay&) const = default;
};

struct IpsecActual {
  std::optional<XfrmDevice> device;
  bool sessions = false;           // the run directory holds sessions
  bool delivery_policies = false;  // those that let decrypted packets into the host stack, both directions and families
  std::vector<SeenState> states;
  std::set<EspPolicy> policies;
};

// A peer of the IPsec engine. One that has left the cluster but not the kernel (departed) has its node ID and nothing
// else.
struct IpsecPeer {
  std::uint16_t node_id = 0;
  std::optional<TunnelEnds> ends;
  std::set<std::pair<Cidr, Cidr>> selectors;  // own pod CIDR and the peer's, of one family
  std::map<std::uint8_t, PeerSession> sessions;
  bool departed = false;
};

// What the engine should be: its device, its peers by name, and what the rotation says is next.
struct Ipsec {
  std::uint32_t mtu = 0;
  std::map<std::uint8_t, OwnSession> sessions;
  std::map<std::string, IpsecPeer> peers;
  RotationDecision rotation;
};

}  // namespace sheath::plan
