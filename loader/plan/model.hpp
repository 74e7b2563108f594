// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/keys/wireguard_key.hpp"
#include "loader/plan/backstop.hpp"
#include "loader/plan/ipsec_model.hpp"
#include "maps/lengths.hpp"
#include "maps/types.h"

// The words of the planner: what a node should look like (Desired) and what it looks like (Actual). The steps between
// are in step.hpp. Plain data; no kernel, no file, no clock.
namespace sheath::plan {

inline constexpr const char* kWireguardDevice = "cilium_wg0";
inline constexpr std::uint32_t kWireguardMark = 0xe00;   // fwmark of our outer packets
inline constexpr std::uint32_t kWireguardOverhead = 80;  // outer IPv6 40 + UDP 8 + header 16 + tag 16

// --- the tunnel device and its peers -------------------------------------------------------------------------------

struct TunnelPeer {
  std::optional<Endpoint> endpoint;
  std::uint16_t keepalive = 0;  // seconds; 0: off
  std::set<Cidr> allowed_ips;
  bool operator==(const TunnelPeer&) const = default;
};

using TunnelPeers = std::map<keys::PublicKey, TunnelPeer>;

struct Tunnel {
  std::string name = kWireguardDevice;
  std::uint32_t mtu = 0;
  bool up = false;
  bool rp_filter_off = false;  // net.ipv4.conf.<name>.rp_filter is 0
  keys::PublicKey public_key;  // all zero: no private key is set
  std::uint16_t listen_port = 0;
  std::uint32_t fwmark = 0;
  TunnelPeers peers;
  bool operator==(const Tunnel&) const = default;
};

// --- the maps ------------------------------------------------------------------------------------------------------

struct Owner {
  sheath_kind kind = SHEATH_KIND_none;
  std::uint16_t node_id = 0;
  auto operator<=>(const Owner&) const = default;
};

struct PeerEntry {
  std::uint32_t tx_mark = 0;
  bool ready = false;
  std::optional<IpAddress> underlay;  // where VXLAN sends what is for it; only with an overlay
  sheath_node_traffic node_traffic = SHEATH_NODE_TRAFFIC_plain;
  auto operator<=>(const PeerEntry&) const = default;
};

// What was heard from a peer, by generation: bit g stands for key ID g.
struct Heard {
  std::uint16_t keys = 0;  // anything authenticated
  std::uint16_t uses = 0;  // its data, or a probe that says that its data goes there
  auto operator<=>(const Heard&) const = default;
};

using MacAddress = std::array<std::uint8_t, 6>;

struct EndpointEntry {
  std::uint32_t ifindex = 0;
  MacAddress pod_mac{};
  MacAddress host_mac{};
  auto operator<=>(const EndpointEntry&) const = default;
};

// The content of the pinned maps.
struct Maps {
  std::map<IpAddress, Owner> node_ips;
  std::map<Cidr, Owner> pod_cidrs;  // pod_cidrs4 and pod_cidrs6
  std::map<std::uint16_t, PeerEntry> peers;
  std::map<IpAddress, EndpointEntry> endpoints;
  std::map<std::uint16_t, Heard> heard;  // written by the programs
  bool operator==(const Maps&) const = default;
};

// --- the programs --------------------------------------------------------------------------------------------------

// Each attachment point has one program, named after it.
using Program = sheath_direction;

struct Attachment {
  Program program = SHEATH_DIRECTION_uplink_egress;
  std::string device;
  auto operator<=>(const Attachment&) const = default;
};

// Which tunnel device the program was loaded for.
enum class TunnelReference : std::uint8_t {
  kFenced,  // none: every peer counts as not ready
  kTunnel,  // the one that exists now
  kStale,   // one that is gone: what is redirected there is lost (seen in Actual only)
};

// What fills the tunnel device.
enum class Engine : std::uint8_t { kWireguard, kIpsec };

// struct sheath_config, with devices by name: an index is known only when the device exists.
struct ProgramSettings {
  std::uint64_t build = 0;
  TunnelReference tunnel = TunnelReference::kFenced;
  Engine engine = Engine::kWireguard;  // whose tunnel device
  bool overlay = false;                // attached to cilium_vxlan
  std::string uplink;                  // for via_uplink; else empty
  std::string pod_uplink;              // the same, for what pods sent
  std::uint16_t wireguard_port = 0;    // 0 with IPsec
  std::uint16_t vxlan_port = 0;        // 0 without an overlay
  std::uint16_t ipv4_mtu = 0;          // where it is less than the tunnel's, which IPv6 needs; else 0
  std::uint16_t tunnel_mtu = 0;        // 0: not known
  maps::PrefixLengths lengths;         // of the pod CIDRs
  std::set<Cidr> own_pods;             // this node's, or the device's pod, as many as a program takes
  std::uint8_t l2_len = 14;
  bool strict = true;
  sheath_node_encryption node_encryption = SHEATH_NODE_ENCRYPTION_disabled;
  bool fast_path = false;
  bool via_uplink = false;
  bool trace = false;
  bool operator==(const ProgramSettings&) const = default;
};

using Programs = std::map<Attachment, ProgramSettings>;

// --- a way of their own for outer packets ---------------------------------------------------------------------------

// With node encryption an inner and an outer packet have the same two addresses. What the host learns of the path for
// the inner (that less fits into the tunnel) must not count for the outer, or each shrinks the other: so outer packets,
// which all have the engine's mark, take the same way by a table of their own.
inline constexpr std::uint32_t kDetourTable = 0xe00;
inline constexpr std::uint32_t kDetourRulePriority = 90;

struct Way {
  std::uint32_t ifindex = 0;
  std::optional<IpAddress> gateway;  // absent: the destination is on the link
  std::optional<IpAddress> source;
  auto operator<=>(const Way&) const = default;
};

struct Detour {
  std::set<Family> rules;
  std::map<IpAddress, Way> routes;  // to the peers' node IPs
  bool operator==(const Detour&) const = default;
};

// --- desired and actual --------------------------------------------------------------------------------------------

// The object this node publishes about itself.
struct Publication {
  std::string path;
  std::string content;  // empty: no such file
  bool operator==(const Publication&) const = default;
};

// Node names for what carries only an ID or a key; for people, never compared.
struct Names {
  std::map<std::uint16_t, std::string> nodes;
  std::map<keys::PublicKey, std::string> keys;
};

// A peer of cilium_wg0 that has to show that it has this node's key, and the two addresses that make WireGuard ask it.
struct Knock {
  std::uint16_t node_id = 0;
  IpAddress source;
  IpAddress destination;
  bool operator==(const Knock&) const = default;
};

// The programs differ in nothing but what belongs to their device, so `strict` is the same in all of them.
struct Desired {
  // At most one of the two; neither with encryption none: nothing of ours but the publication.
  std::optional<Tunnel> tunnel;  // WireGuard
  std::optional<Ipsec> ipsec;
  std::optional<Overlay> overlay;
  Detour detour;
  Maps maps;
  Programs programs;
  std::uint32_t ipv4_mtu = 0;        // as in ProgramSettings
  std::optional<Backstop> backstop;  // in strict mode
  std::optional<Publication> publication;
  bool node_traffic_pending = false;  // this plan is a step of turning node encryption on or off, and not the last
  Names names;
  std::vector<Knock> knocks;
  std::vector<std::string> waiting_for_key;  // peers by name: what is for them is dropped (strict)
  std::vector<std::string> waits;            // what else is not done before a peer does its part, a line each
  std::vector<std::string> warnings;
};

// How many of the maps are pinned. Programs hold on to the maps they were loaded with, so with anything but kAll the
// attached ones look things up, or count, where nobody writes or reads any more. kState: only maps that count are
// missing, as they are after an upgrade to a version that counts more.
enum class Pins : std::uint8_t { kNone, kSome, kState, kAll };

// What the maps say is what the programs go by.
constexpr bool has_state(Pins pins) {
  return pins == Pins::kState || pins == Pins::kAll;
}

struct Actual {
  Pins pins = Pins::kNone;
  std::optional<Tunnel> tunnel;
  std::set<keys::PublicKey> shaken_hands;  // peers of the tunnel that had a handshake: they have this node's key
  IpsecActual ipsec;
  std::optional<Overlay> overlay;
  Detour detour;
  Maps maps;
  Programs programs;
  std::optional<std::uint64_t> backstop;  // its digest; 0: it is not as it was made
  // Pins whose device or link is gone: nothing is attached, yet they have to be removed.
  std::set<Attachment> orphans;
  std::optional<Publication> publication;
};

}  // namespace sheath::plan
