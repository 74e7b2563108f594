// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <variant>

#include "loader/plan/model.hpp"

// What a plan is made of. Each step is one change that the kernel makes at once, or (Fence, DropAllowedIps) a few that
// may be cut anywhere and done again. Doing a step twice is the same as doing it once.
namespace sheath::plan {

// The first step in strict mode while an uplink is open: pins the maps, says whose addresses are whose, attaches the
// uplink programs. It is one step, so that no boundary of a plan lies before the closing.
struct Fence {
  Maps maps;  // what to write; peers that are new are not ready
  Programs programs;
  bool operator==(const Fence&) const = default;
};

struct CreateMaps {
  bool operator==(const CreateMaps&) const = default;
};

struct CreateTunnel {
  std::string name;
  bool operator==(const CreateTunnel&) const = default;
};

// Sets the private key that belongs to `public_key` (the executor reads it from its file), port and fwmark.
struct ConfigureTunnel {
  std::string name;
  keys::PublicKey public_key;
  std::uint16_t listen_port = 0;
  std::uint32_t fwmark = 0;
  bool operator==(const ConfigureTunnel&) const = default;
};

struct SetTunnelMtu {
  std::string name;
  std::uint32_t mtu = 0;
  bool operator==(const SetTunnelMtu&) const = default;
};

struct SetRpFilterOff {
  std::string name;
  bool operator==(const SetRpFilterOff&) const = default;
};

struct SetTunnelUp {
  std::string name;
  bool operator==(const SetTunnelUp&) const = default;
};

struct Publish {
  Publication publication;
  bool operator==(const Publish&) const = default;
};

struct Withdraw {
  std::string path;
  bool operator==(const Withdraw&) const = default;
};

// Adds the peer, or changes what differs of it; removes nothing from it. An allowed IP that another peer holds moves
// here in the same moment: WireGuard gives each prefix to one peer.
struct SetTunnelPeer {
  std::string name;
  keys::PublicKey key;
  std::optional<Endpoint> endpoint;        // nullopt: leave
  std::optional<std::uint16_t> keepalive;  // nullopt: leave
  std::set<Cidr> add_allowed_ips;
  bool create = false;  // false: it has to be there, and is left alone if it is not
  bool operator==(const SetTunnelPeer&) const = default;
};

// Takes allowed IPs from a peer and leaves its others, and its session, alone.
struct DropAllowedIps {
  std::string name;
  keys::PublicKey key;
  std::set<Cidr> allowed_ips;
  bool operator==(const DropAllowedIps&) const = default;
};

struct RemoveTunnelPeer {
  std::string name;
  keys::PublicKey key;
  bool operator==(const RemoveTunnelPeer&) const = default;
};

struct SetNodeIp {
  IpAddress address;
  Owner owner;
  bool operator==(const SetNodeIp&) const = default;
};

struct SetPodCidr {
  Cidr cidr;
  Owner owner;
  bool operator==(const SetPodCidr&) const = default;
};

struct SetPeer {
  std::uint16_t node_id = 0;
  PeerEntry entry;
  bool operator==(const SetPeer&) const = default;
};

struct SetEndpoint {
  IpAddress address;
  EndpointEntry entry;
  bool operator==(const SetEndpoint&) const = default;
};

struct DeleteNodeIp {
  IpAddress address;
  bool operator==(const DeleteNodeIp&) const = default;
};

struct DeletePodCidr {
  Cidr cidr;
  bool operator==(const DeletePodCidr&) const = default;
};

// A peer without an entry counts as not ready.
struct DeletePeer {
  std::uint16_t node_id = 0;
  bool operator==(const DeletePeer&) const = default;
};

struct DeleteEndpoint {
  IpAddress address;
  bool operator==(const DeleteEndpoint&) const = default;
};

// Attaches the program, or replaces the one that is there, with no moment without one.
struct Attach {
  Attachment where;
  ProgramSettings settings;
  bool operator==(const Attach&) const = default;
};

// Detaches the program and removes its pins, also when its device is gone.
struct Detach {
  Attachment where;
  bool operator==(const Detach&) const = default;
};

struct RemoveTunnel {
  std::string name;
  bool operator==(const RemoveTunnel&) const = default;
};

struct RemoveMaps {
  bool operator==(const RemoveMaps&) const = default;
};

using Step =
    std::variant<Fence, CreateMaps, CreateTunnel, ConfigureTunnel, SetTunnelMtu, SetRpFilterOff, SetTunnelUp, Publish,
                 Withdraw, SetTunnelPeer, DropAllowedIps, RemoveTunnelPeer, SetNodeIp, SetPodCidr, SetPeer, SetEndpoint,
                 DeleteNodeIp, DeletePodCidr, DeletePeer, DeleteEndpoint, Attach, Detach, RemoveTunnel, RemoveMaps>;

using Plan = std::vector<Step>;

}  // namespace sheath::plan
