// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "loader/plan/step.hpp"
#include "selftests/unit/plan_simulator.hpp"

// What becomes of a local pod's packet on a node in a given state, and whether a plan keeps its promises at each of its
// boundaries. Knows the programs' rules (the verdict table), not the planner's.
namespace sheath::plan {

struct Fate {
  enum Kind { kPlain, kDropped, kEncrypted } kind = kPlain;
  std::optional<keys::PublicKey> to;  // with kEncrypted: the peer that WireGuard chooses
  bool operator==(const Fate&) const = default;
};

inline std::optional<Owner> owner_of(const Maps& maps, const IpAddress& address) {
  std::optional<Owner> best;
  int length = -1;
  for (const auto& [cidr, owner] : maps.pod_cidrs) {
    if (cidr.contains(address) && cidr.length > length) {
      best = owner;
      length = cidr.length;
    }
  }
  return best;
}

// As a program finds it that knows these lengths.
inline std::optional<Owner> found_owner(const Maps& maps, const maps::PrefixLengths& lengths,
                                        const IpAddress& address) {
  Maps seen;
  for (const auto& entry : maps.pod_cidrs) {
    const auto used = lengths.find({entry.first.address.family, entry.first.length});
    if (used != lengths.end() && used->second.contains(address)) seen.pod_cidrs.insert(entry);
  }
  return owner_of(seen, address);
}

inline std::optional<keys::PublicKey> peer_for(const std::optional<Tunnel>& tunnel, const IpAddress& address) {
  std::optional<keys::PublicKey> best;
  int length = -1;
  if (!tunnel) return best;
  for (const auto& [key, peer] : tunnel->peers) {
    for (const auto& cidr : peer.allowed_ips) {
      if (cidr.contains(address) && cidr.length > length) {
        best = key;
        length = cidr.length;
      }
    }
  }
  return best;
}

// A packet from `source` to `to` that the host's routes send out of `uplink`.
inline Fate fate_of(const Actual& node, const std::string& uplink, const IpAddress& source, const IpAddress& to) {
  const auto program = node.programs.find({SHEATH_DIRECTION_uplink_egress, uplink});
  if (program == node.programs.end() || node.pins != Pins::kAll) return {Fate::kPlain, {}};
  const Fate refused{program->second.strict ? Fate::kDropped : Fate::kPlain, {}};
  auto from = found_owner(node.maps, program->second.lengths, source);
  const auto holds_source = [&](const Cidr& own) { return own.contains(source); };
  if (std::ranges::any_of(program->second.own_pods, holds_source)) from = Owner{SHEATH_KIND_local, 0};
  const auto owner = found_owner(node.maps, program->second.lengths, to);
  if (!from || from->kind != SHEATH_KIND_local || !owner) return {Fate::kPlain, {}};
  if (owner->kind == SHEATH_KIND_cluster) return refused;
  if (owner->kind != SHEATH_KIND_remote) return {Fate::kPlain, {}};
  const auto peer = node.maps.peers.find(owner->node_id);
  const bool ready = peer != node.maps.peers.end() && peer->second.ready;
  if (!ready || program->second.tunnel == TunnelReference::kFenced) return refused;
  if (program->second.tunnel == TunnelReference::kStale || !node.tunnel || !node.tunnel->up)
    return {Fate::kDropped, {}};
  const auto key = peer_for(node.tunnel, to);
  return key ? Fate{Fate::kEncrypted, key} : Fate{Fate::kDropped, {}};
}

struct Probe {
  std::string uplink;
  IpAddress source;
  IpAddress to;
};

// One probe per uplink and foreign prefix of either state.
inline std::vector<Probe> probes_of(const Desired& desired, const Actual& actual) {
  std::set<std::string> uplinks;
  for (const auto& [where, settings] : desired.programs) {
    if (where.program == SHEATH_DIRECTION_uplink_egress) uplinks.insert(where.device);
  }
  IpAddress source;
  std::set<IpAddress> targets;
  for (const auto* maps : {&actual.maps, &desired.maps}) {
    for (const auto& [cidr, owner] : maps->pod_cidrs) {
      auto host = cidr.address;
      host.bytes[host.size() - 1] = 9;
      if (owner.kind == SHEATH_KIND_local) source = host;
      if (owner.kind == SHEATH_KIND_remote || owner.kind == SHEATH_KIND_cluster) targets.insert(host);
    }
  }
  std::vector<Probe> probes;
  for (const auto& uplink : uplinks) {
    for (const auto& target : targets) probes.push_back({uplink, source, target});
  }
  return probes;
}

// Checks one probe along a plan. Says what went wrong, or nothing.
class Watch {
 public:
  Watch(const Desired& desired, const Actual& actual, const Probe& probe)
      : probe_(probe), known_at_end_(!desired.maps.pod_cidrs.empty() && foreign(desired.maps)) {
    if (const auto key = peer_for(actual.tunnel, probe.to)) allowed_.insert(*key);
    if (const auto key = peer_for(desired.tunnel, probe.to)) allowed_.insert(*key);
    first_ = fate_of(actual, probe.uplink, probe.source, probe.to);
    closed_ = first_.kind != Fate::kPlain;
    untouched_ = first_.kind == Fate::kEncrypted && same_peer(desired, actual);
  }

  // `virgin`: closed from the first step on, whatever was before.
  std::string step(const Actual& now, bool virgin) {
    const auto fate = fate_of(now, probe_.uplink, probe_.source, probe_.to);
    const auto what = probe_.to.text() + " by " + probe_.uplink;
    if (fate.kind == Fate::kPlain && known_at_end_ && (closed_ || virgin)) return what + " passes in plaintext";
    if (fate.kind == Fate::kEncrypted && !allowed_.contains(*fate.to)) return what + " goes to the wrong peer";
    if (untouched_ && fate != first_) return what + " is lost though its peer did not change";
    closed_ = closed_ || fate.kind != Fate::kPlain;
    return {};
  }

 private:
  bool foreign(const Maps& maps) const {
    const auto owner = owner_of(maps, probe_.to);
    return owner && (owner->kind == SHEATH_KIND_remote || owner->kind == SHEATH_KIND_cluster);
  }

  bool same_peer(const Desired& desired, const Actual& actual) const {
    const auto owner = owner_of(actual.maps, probe_.to);
    if (!desired.tunnel || owner != owner_of(desired.maps, probe_.to) || !owner) return false;
    const auto peer = desired.maps.peers.find(owner->node_id);
    if (peer == desired.maps.peers.end() || peer->second != actual.maps.peers.at(owner->node_id)) return false;
    const auto key = peer_for(desired.tunnel, probe_.to);
    return key == first_.to && desired.tunnel->peers.at(*key) == actual.tunnel->peers.at(*key);
  }

  Probe probe_;
  std::set<keys::PublicKey> allowed_;
  Fate first_;
  bool known_at_end_;
  bool closed_ = false;
  bool untouched_ = false;
};

inline bool is_strict(const Desired& desired) {
  return !desired.programs.empty() && desired.programs.begin()->second.strict;
}

// Walks the plan and says the first broken promise; empty: it keeps them all. For strict plans.
inline std::string broken_promise(const Desired& desired, const Actual& actual, const Plan& plan) {
  std::vector<Watch> watches;
  for (const auto& probe : probes_of(desired, actual)) watches.emplace_back(desired, actual, probe);
  const bool virgin = actual.pins == Pins::kNone;
  Actual now = actual;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    apply_step(now, plan[i]);
    for (auto& watch : watches) {
      if (auto broken = watch.step(now, virgin); !broken.empty())
        return "after step " + std::to_string(i) + ": " + broken;
    }
  }
  return {};
}

}  // namespace sheath::plan
