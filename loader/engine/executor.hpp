// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "loader/bpf/pinned_maps.hpp"
#include "loader/engine/digest_cache.hpp"
#include "loader/engine/engine.hpp"
#include "loader/engine/ipsec_material.hpp"
#include "loader/netlink/probe.hpp"
#include "loader/netlink/socket.hpp"
#include "loader/netlink/wireguard.hpp"
#include "loader/netlink/xfrm.hpp"
#include "loader/plan/step.hpp"
#include "loader/state/config.hpp"

namespace sheath::engine {

// Where a plan is to be cut, for tests: at the step of that number, from 0.
struct Cuts {
  std::optional<std::size_t> kill_at;  // before it: SIGKILL to this process
  std::optional<std::size_t> fail_at;  // in its place
  std::optional<std::size_t> slow_at;  // before it: sleeps for kSlowness
  bool operator==(const Cuts&) const = default;
};

inline constexpr std::chrono::seconds kSlowness{3};

// From SHEATH_KILL_AT, SHEATH_FAIL_AT and SHEATH_SLOW_AT. A value that is no number is a misuse.
Result<Cuts> cuts_from_environment();

// Does the steps of a plan, one after the other. Every step may find that it, or a part of it, is done already.
class Executor {
 public:
  // `socket` (NETLINK_ROUTE), `config`, `ipsec` and `digests` have to outlive it. `ipsec`: this node's secrets, null
  // without IPsec. `digests`: gets those of each pair of sessions that keys are made of, for a round to come; may be
  // null.
  Executor(netlink::Socket& socket, const state::Config& config, const IpsecMaterial* ipsec = nullptr,
           DigestCache* digests = nullptr)
      : socket_(socket), config_(config), ipsec_(ipsec), digests_(digests) {}
  // The pinned maps, for writing. Without, they are opened when a step needs them, and those that are missing are made.
  void use(bpf::PinnedMaps maps) { maps_ = std::move(maps); }

  // Stops at the first step that fails and is not about one peer: "step 4 of 12, attach uplink_egress to eth0 (strict,
  // fenced): …". Where a step about a peer fails, the rest of this peer's is left out and all others' are done; with
  // many of them it stops, too. `plan` becomes what was done. `done` counts on with each step that is done, also when
  // it stops; the cuts count with it.
  Result<> run(plan::Plan& plan, const plan::Names& names, const Cuts& cuts, std::size_t& done);
  // Of the last run.
  const std::vector<PeerFailure>& failures() const { return failures_; }

  Result<> operator()(const plan::Fence& step);
  Result<> operator()(const plan::CreateMaps& step);
  Result<> operator()(const plan::CreateTunnel& step);
  Result<> operator()(const plan::ConfigureTunnel& step);
  Result<> operator()(const plan::SetTunnelMtu& step);
  Result<> operator()(const plan::SetRpFilterOff& step);
  Result<> operator()(const plan::SetTunnelUp& step);
  Result<> operator()(const plan::Publish& step);
  Result<> operator()(const plan::Withdraw& step);
  Result<> operator()(const plan::SetTunnelPeer& step);
  Result<> operator()(const plan::DropAllowedIps& step);
  Result<> operator()(const plan::RemoveTunnelPeer& step);
  Result<> operator()(const plan::SetNodeIp& step);
  Result<> operator()(const plan::SetPodCidr& step);
  Result<> operator()(const plan::SetPeer& step);
  Result<> operator()(const plan::SetEndpoint& step);
  Result<> operator()(const plan::DeleteNodeIp& step);
  Result<> operator()(const plan::DeletePodCidr& step);
  Result<> operator()(const plan::DeletePeer& step);
  Result<> operator()(const plan::DeleteEndpoint& step);
  Result<> operator()(const plan::Attach& step);
  Result<> operator()(const plan::Detach& step);
  Result<> operator()(const plan::RemoveTunnel& step);
  Result<> operator()(const plan::RemoveMaps& step);

  Result<> operator()(const plan::CreateXfrm& step);
  Result<> operator()(const plan::SetDeliveryPolicies& step);
  Result<> operator()(const plan::DrawSession& step);
  Result<> operator()(const plan::RetireSession& step);
  Result<> operator()(const plan::AddState& step);
  Result<> operator()(const plan::DropState& step);
  Result<> operator()(const plan::RecordPairs& step);
  Result<> operator()(const plan::SetPolicies& step);
  Result<> operator()(const plan::DropPolicies& step);
  Result<> operator()(const plan::SendProbes& step);
  Result<> operator()(const plan::ForgetHeard& step);
  Result<> operator()(const plan::CreateOverlay& step);
  Result<> operator()(const plan::AddOverlayAddress& step);
  Result<> operator()(const plan::SetOverlayRoute& step);
  Result<> operator()(const plan::DropOverlayRoute& step);
  Result<> operator()(const plan::SetDetourRoute& step);
  Result<> operator()(const plan::DropDetourRoute& step);
  Result<> operator()(const plan::AddDetourRule& step);
  Result<> operator()(const plan::DropDetourRule& step);
  Result<> operator()(const plan::SetBackstop& step);
  Result<> operator()(const plan::RemoveBackstop& step);
  Result<> operator()(const plan::Pause& step);
  Result<> operator()(const plan::FlushIpsec& step);
  Result<> operator()(const plan::RemoveSessions& step);

 private:
  // Steps of one kind that follow each other, done in one call. The kernel does them in their order: cut anywhere, they
  // leave a boundary of the plan. If one of them fails, each is to be done alone, some for the second time.
  struct Batch {
    std::size_t size = 1;
    bool done = false;
  };
  Batch do_together(std::span<const plan::Step> steps);
  template <typename Step>
  Batch do_all(std::span<const plan::Step> steps);
  // False: it failed and is about one peer, or it is about one that failed before, and was passed over. An error: the
  // plan has to stop. `place`: what the step is called in an error.
  Result<bool> do_alone(plan::Step& step, const plan::Names& names, bool is_to_fail,
                        const std::function<std::string()>& place);
  Result<> set_together(std::span<const plan::SetTunnelPeer> steps);
  Result<> set_together(std::span<const plan::SetPeer> steps);
  void spare(plan::Step& step, const plan::Names& names) const;
  bool has_failed(const std::optional<std::string>& peer) const;
  Result<netlink::Xfrm*> xfrm();
  Result<const keys::Session*> session(std::uint8_t generation) const;
  Result<const keys::Pair*> pair(const keys::Session& own, const keys::KeyContext& context);
  Result<bpf::PinnedMaps*> maps();
  Result<std::uint32_t> device(const std::string& name);
  Result<> patch_tunnel(const netlink::WireGuardPatch& patch);
  Result<> attach(const plan::Attachment& where, const plan::ProgramSettings& settings);

  netlink::Socket& socket_;
  const state::Config& config_;
  const IpsecMaterial* ipsec_;
  DigestCache* digests_;
  std::optional<bpf::PinnedMaps> maps_;           // opened when first used
  std::optional<netlink::WireGuard> wireguard_;   // the same
  std::optional<netlink::Xfrm> xfrm_;             // the same
  std::optional<netlink::PacketSocket> packets_;  // the same
  std::optional<keys::Pair> pair_;                // the last one that was asked for
  std::vector<PeerFailure> failures_;
  std::map<std::string, std::uint32_t> devices_;  // ifindexes of our devices, as they were looked up
};

}  // namespace sheath::engine
