// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
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

// --- IPsec ---------------------------------------------------------------------------------------------------------

struct CreateXfrm {
  std::string name;
  bool operator==(const CreateXfrm&) const = default;
};

// The policies that let decrypted packets into the host stack: towards this host and through it, both families.
struct SetDeliveryPolicies {
  bool operator==(const SetDeliveryPolicies&) const = default;
};

// A fresh key pair and tag for this generation, in place of the one that may be there. What it is, is known only when
// it is done, so the plan ends with it, and the next one goes on.
struct DrawSession {
  std::uint8_t generation = 0;
  std::uint8_t psk_id = 0;
  std::set<std::uint32_t> taken_tags;  // its tag is none of these
  bool operator==(const DrawSession&) const = default;
};

// Wipes this node's private half of a generation: nothing sent under it can be decrypted any more.
struct RetireSession {
  std::uint8_t generation = 0;
  bool operator==(const RetireSession&) const = default;
};

// The executor derives the state's key from this node's session and the peer's public key.
struct AddState {
  std::string peer;  // by name
  EspState state;
  keys::PublicKey session_key;  // the peer's session
  bool operator==(const AddState&) const = default;
};

struct DropState {
  EspState state;
  bool operator==(const DropState&) const = default;
};

// Writes down that these pairs of sessions are in use, before the first packet under them: a transmit key that was
// used must never start counting again.
struct RecordPairs {
  std::uint8_t generation = 0;
  std::map<std::string, keys::PublicKey> sessions;  // by peer
  bool operator==(const RecordPairs&) const = default;
};

// Adds the policies, or changes in place those that are there.
struct SetPolicies {
  std::set<EspPolicy> policies;  // of one peer and generation
  bool operator==(const SetPolicies&) const = default;
};

struct DropPolicies {
  std::set<EspPolicy> policies;
  bool operator==(const DropPolicies&) const = default;
};

// Sends a packet that says "I can receive", under one generation each; with WireGuard (generation 0) one that makes it
// shake hands.
struct SendProbes {
  struct Probe {
    std::uint16_t node_id = 0;
    std::uint8_t generation = 0;
    std::uint8_t uses = 0;  // the generation that this node's data to the peer uses; 0: none
    IpAddress source;
    IpAddress destination;
    bool operator==(const Probe&) const = default;
  };
  std::string device = kXfrmDevice;
  std::vector<Probe> probes;
  bool operator==(const SendProbes&) const = default;
};

// What was heard from a peer under a generation no longer counts: its session is another one now.
struct ForgetHeard {
  std::uint16_t node_id = 0;
  std::uint8_t generation = 0;
  bool operator==(const ForgetHeard&) const = default;
};

struct CreateOverlay {
  std::string name;
  std::uint16_t port = 0;
  bool operator==(const CreateOverlay&) const = default;
};

struct AddOverlayAddress {
  IpAddress address;
  bool operator==(const AddOverlayAddress&) const = default;
};

struct SetOverlayRoute {
  Cidr destination;
  std::optional<IpAddress> source;  // preferred
  bool operator==(const SetOverlayRoute&) const = default;
};

struct DropOverlayRoute {
  Cidr destination;
  bool operator==(const DropOverlayRoute&) const = default;
};

// A way of its own for outer packets to this address, in place of the one that may be there.
struct SetDetourRoute {
  IpAddress to;
  Way way;
  bool operator==(const SetDetourRoute&) const = default;
};

struct DropDetourRoute {
  IpAddress to;
  Way way;
  bool operator==(const DropDetourRoute&) const = default;
};

// Leads outer packets to these routes.
struct AddDetourRule {
  Family family = Family::kIpv4;
  bool operator==(const AddDetourRule&) const = default;
};

struct DropDetourRule {
  Family family = Family::kIpv4;
  bool operator==(const DropDetourRule&) const = default;
};

// In place of the one that may be there, with no moment without one.
struct SetBackstop {
  Backstop backstop;
  bool operator==(const SetBackstop&) const = default;
};

struct RemoveBackstop {
  bool operator==(const RemoveBackstop&) const = default;
};

// Waits until packets that were on their way have arrived.
struct Pause {
  std::chrono::milliseconds duration{0};
  bool operator==(const Pause&) const = default;
};

// All states and policies of ours.
struct FlushIpsec {
  bool operator==(const FlushIpsec&) const = default;
};

// Wipes all of this node's sessions.
struct RemoveSessions {
  bool operator==(const RemoveSessions&) const = default;
};

using Step =
    std::variant<Fence, CreateMaps, CreateTunnel, ConfigureTunnel, SetTunnelMtu, SetRpFilterOff, SetTunnelUp, Publish,
                 Withdraw, SetTunnelPeer, DropAllowedIps, RemoveTunnelPeer, SetNodeIp, SetPodCidr, SetPeer, SetEndpoint,
                 DeleteNodeIp, DeletePodCidr, DeletePeer, DeleteEndpoint, Attach, Detach, RemoveTunnel, RemoveMaps,
                 CreateXfrm, SetDeliveryPolicies, DrawSession, RetireSession, AddState, DropState, RecordPairs,
                 SetPolicies, DropPolicies, SendProbes, ForgetHeard, CreateOverlay, AddOverlayAddress, SetOverlayRoute,
                 DropOverlayRoute, Pause, FlushIpsec, RemoveSessions, SetDetourRoute, DropDetourRoute, AddDetourRule,
                 DropDetourRule, SetBackstop, RemoveBackstop>;

using Plan = std::vector<Step>;

}  // namespace sheath::plan
