// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/bpf/pinned_maps.hpp"
#include "loader/keys/wireguard_key.hpp"
#include "loader/netlink/backstop.hpp"
#include "loader/plan/model.hpp"
#include "loader/state/config.hpp"

namespace sheath::engine {

struct TunnelStatus {
  std::string name;
  std::uint32_t ifindex = 0;
  std::uint32_t mtu = 0;
  bool up = false;
  std::optional<keys::PublicKey> public_key;
  std::uint16_t listen_port = 0;
  std::uint32_t fwmark = 0;
  std::size_t peers = 0;
};

// The IPsec engine's device and what its states say.
struct XfrmStatus {
  std::string name;
  std::uint32_t ifindex = 0;
  std::uint32_t mtu = 0;
  bool up = false;
  std::set<std::uint8_t> key_ids;  // that states exist for
  std::string algorithm;           // of one of them; empty: there are none
  std::size_t peers = 0;           // that states exist for
};

struct ProgramStatus {
  std::string program;
  std::string device;
  std::string hook;  // "tcx" or "clsact"
  std::uint32_t id = 0;
  bool strict = false;
  plan::TunnelReference tunnel = plan::TunnelReference::kFenced;
  bool fast_path = false;
  bool via_uplink = false;
};

struct PeerStatus {
  std::uint16_t node_id = 0;
  std::string name;  // empty: the node objects do not say, or cannot be read
  std::vector<IpAddress> node_ips;
  std::vector<Cidr> pod_cidrs;
  bool ready = false;
  std::uint8_t key_id = 0;  // that data goes under; 0 with WireGuard
  // With IPsec: its ESP states, its end of them, and the last packet that it sent, in seconds since the epoch.
  std::size_t esp_states = 0;
  std::optional<IpAddress> esp_peer;
  std::int64_t last_received_seconds = 0;
  // Of the tunnel device's peer that holds the pod CIDRs; absent without one.
  std::optional<keys::PublicKey> public_key;
  std::optional<Endpoint> endpoint;
  std::int64_t last_handshake_seconds = 0;  // since the epoch; 0: there was none yet
  std::uint64_t rx_bytes = 0;               // outer, handshakes included; with IPsec, inner
  std::uint64_t tx_bytes = 0;
};

struct EndpointStatus {
  IpAddress address;
  std::uint32_t ifindex = 0;
  std::string device;  // empty: it is gone
  plan::MacAddress pod_mac{};
};

// What may not go in plaintext and was dropped, or passed because the mode was permissive, by whom it concerns.
struct WithheldStatus {
  sheath_direction program = SHEATH_DIRECTION_uplink_egress;
  sheath_reason reason = SHEATH_REASON_no_key;  // strict mode's
  bool dropped = false;
  std::uint16_t node_id = 0;  // 0: no node that is known
  std::string name;           // as in PeerStatus
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::chrono::seconds age{};  // since the last one
};

// What runs on this node, from pins and kernel alone; the configuration says only where the pins are, and which uplinks
// should be covered.
struct Status {
  bool installed = false;  // anything of ours is there
  plan::Pins pins = plan::Pins::kNone;
  std::string bpffs;
  std::optional<bool> strict;  // absent: no program on an uplink, or they differ
  sheath_node_encryption node_encryption = SHEATH_NODE_ENCRYPTION_disabled;
  std::optional<TunnelStatus> tunnel;  // WireGuard
  std::optional<XfrmStatus> xfrm;      // IPsec
  std::vector<ProgramStatus> programs;
  std::vector<IpAddress> node_ips;  // this node's
  std::vector<Cidr> pod_cidrs;      // this node's
  std::vector<Cidr> cluster_cidrs;
  std::vector<PeerStatus> peers;  // by node ID
  std::vector<EndpointStatus> endpoints;
  std::optional<bpf::Metrics> metrics;
  std::vector<WithheldStatus> withheld;  // by program
  std::optional<netlink::BackstopReport> backstop;
  bool backstop_expected = false;
  // Why something is not encrypted that should be, a line each; empty: all is well, or nothing is installed.
  std::vector<std::string> problems;
};

// In two words: "ready", or what it lacks: "no key", "no address" (of a family that this node has) or "no handshake",
// which only permissive mode waits for. Pure.
const char* peer_state(const Status& status, const PeerStatus& peer);

Result<Status> observe_status(const state::Config& config);

}  // namespace sheath::engine
