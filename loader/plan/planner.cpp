// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/planner.hpp"

#include <algorithm>

#include "loader/plan/detour.hpp"
#include "loader/plan/ipsec_plan.hpp"
#include "loader/plan/overlay_plan.hpp"
#include "loader/plan/tunnel_plan.hpp"

namespace sheath::plan {
namespace {

// Of programs, what comes first: whatever may receive before whatever sends.
constexpr std::array kAttachOrder{SHEATH_DIRECTION_tunnel_ingress, SHEATH_DIRECTION_overlay_egress,
                                  SHEATH_DIRECTION_uplink_egress, SHEATH_DIRECTION_uplink_ingress,
                                  SHEATH_DIRECTION_pod_egress};
constexpr std::array kDetachOrder{SHEATH_DIRECTION_pod_egress, SHEATH_DIRECTION_uplink_egress,
                                  SHEATH_DIRECTION_overlay_egress, SHEATH_DIRECTION_uplink_ingress,
                                  SHEATH_DIRECTION_tunnel_ingress};

bool of_uplink(Program program) {
  return program == SHEATH_DIRECTION_uplink_egress || program == SHEATH_DIRECTION_uplink_ingress ||
         program == SHEATH_DIRECTION_overlay_egress;
}

// An ordered list of phases: close, add what is missing, switch the programs, take away what is too much. Programs are
// in the middle so that a node on its way from permissive to strict has become strict before a peer is given up.
// `maps_` and `programs_` are what is there by the time a phase runs.
class Planner {
 public:
  Planner(const Desired& desired, const Actual& actual)
      : desired_(desired), actual_(actual), ipsec_(actual.ipsec), maps_(actual.maps) {
    if (actual.pins == Pins::kAll) {
      programs_ = actual.programs;
      return;
    }
    if (has_state(actual.pins)) return;
    // Without the maps nobody knows which states were in use: all of them go, and none of their keys comes back.
    flush_ = !ipsec_.states.empty() || !ipsec_.policies.empty();
    if (!flush_) return;
    ipsec_.states.clear();
    ipsec_.policies.clear();
    ipsec_.delivery_policies = false;
  }

  Plan make() {
    close();
    close_backstop();
    widen_programs();
    name_owners();
    make_devices();
    publish();
    guard_devices();
    raise_devices();
    add_crypto();
    plan_detour(desired_.detour, actual_.detour, plan_);
    ready_peers();
    set_endpoints();
    attach_programs();
    open_backstop();
    move_owners();
    unready_peers();
    remove_crypto();
    detach_programs();
    plan_detour_removals(desired_.detour, actual_.detour, plan_);
    forget();
    remove_devices();
    knock();
    return std::move(plan_);
  }

 private:
  // Not attached, or sending into a device that is gone.
  bool broken(const Attachment& where) const {
    const auto found = programs_.find(where);
    return found == programs_.end() || found->second.tunnel == TunnelReference::kStale;
  }

  bool exists(Engine engine) const {
    return engine == Engine::kWireguard ? actual_.tunnel.has_value() : actual_.ipsec.device.has_value();
  }

  // With a tunnel that is there, new uplinks use it at once; without, everything for peers is dropped.
  ProgramSettings closing(ProgramSettings settings) const {
    if (!exists(settings.engine)) settings.tunnel = TunnelReference::kFenced;
    return settings;
  }

  // Those of an overlay device that is not there yet are attached when it is made.
  bool can_close(const Attachment& where) const {
    return of_uplink(where.program) && (where.device != kOverlayDevice || actual_.overlay);
  }

  void close() {
    Fence fence;
    for (const auto& [where, settings] : desired_.programs) {
      if (can_close(where) && settings.strict && broken(where)) fence.programs[where] = closing(settings);
    }
    if (fence.programs.empty()) {
      if (actual_.pins != Pins::kAll) plan_.emplace_back(CreateMaps{});
      return;
    }
    for (const auto& entry : desired_.maps.node_ips) collect(entry, maps_.node_ips, fence.maps.node_ips);
    for (const auto& entry : desired_.maps.pod_cidrs) collect(entry, maps_.pod_cidrs, fence.maps.pod_cidrs);
    for (const auto& [id, entry] : desired_.maps.peers) {
      if (!maps_.peers.contains(id)) maps_.peers[id] = fence.maps.peers[id] = closed(entry);
    }
    for (const auto& [where, settings] : fence.programs) programs_[where] = settings;
    plan_.emplace_back(std::move(fence));
  }

  // Behind the closing: what it lets pass is watched. And not before the programs are permissive is it opened.
  void close_backstop() {
    if (desired_.backstop && desired_.backstop->drops) set_backstop();
  }

  void set_backstop() {
    if (actual_.backstop != digest(*desired_.backstop)) plan_.emplace_back(SetBackstop{*desired_.backstop});
  }

  void open_backstop() {
    if (desired_.backstop && !desired_.backstop->drops) set_backstop();
    if (!desired_.backstop && actual_.backstop) plan_.emplace_back(RemoveBackstop{});
  }

  static PeerEntry closed(PeerEntry entry) {
    entry.ready = false;
    return entry;
  }

  // A prefix that was a peer's, and becomes another's: it can be sent to until its new owner is ready.
  static bool moves(const Owner& from, const Owner& to) {
    return from.kind == SHEATH_KIND_remote && to.kind != SHEATH_KIND_local && from != to;
  }

  template <typename Entry, typename Map>
  static void collect(const Entry& entry, Map& now, Map& changes) {
    const auto [found, added] = now.insert(entry);
    if (!added && (found->second == entry.second || moves(found->second, entry.second))) return;
    found->second = entry.second;
    changes.insert(entry);
  }

  // A program sees prefixes of the lengths that it knows: it has to know new ones before they come, and old ones until
  // they are gone.
  void widen_programs() {
    for (auto& [where, settings] : programs_) {
      const auto wanted = desired_.programs.find(where);
      if (wanted == desired_.programs.end() || broken(where)) continue;
      auto both = maps::merged(settings.lengths, wanted->second.lengths);
      if (maps::more_than(SHEATH_MAX_LENGTHS, both)) both = wanted->second.lengths;
      if (settings.lengths == both) continue;
      settings.lengths = std::move(both);
      settings.build = wanted->second.build;  // it is this loader's program that is put there
      plan_.emplace_back(Attach{where, settings});
    }
  }

  // A prefix is known before anything can be sent to it.
  void name_owners() {
    set_owners<SetNodeIp>(desired_.maps.node_ips, maps_.node_ips, false);
    set_owners<SetPodCidr>(desired_.maps.pod_cidrs, maps_.pod_cidrs, false);
  }

  void move_owners() {
    set_owners<SetNodeIp>(desired_.maps.node_ips, maps_.node_ips, true);
    set_owners<SetPodCidr>(desired_.maps.pod_cidrs, maps_.pod_cidrs, true);
  }

  template <typename SetOwner, typename Key>
  void set_owners(const std::map<Key, Owner>& wanted, const std::map<Key, Owner>& now, bool moving) {
    for (const auto& [key, owner] : wanted) {
      const auto found = now.find(key);
      if (found != now.end() && found->second == owner) continue;
      const bool is_move = found != now.end() && moves(found->second, owner);
      if (is_move == moving) plan_.emplace_back(SetOwner{key, owner});
    }
  }

  template <typename Key, typename Value>
  static bool differs(const std::map<Key, Value>& map, const Key& key, const Value& value) {
    const auto found = map.find(key);
    return found == map.end() || found->second != value;
  }

  void make_devices() {
    if (desired_.tunnel) plan_tunnel_device(*desired_.tunnel, actual_.tunnel, plan_);
    if (flush_) plan_.emplace_back(FlushIpsec{});
    if (desired_.ipsec) plan_ipsec_device(*desired_.ipsec, ipsec_, plan_);
    if (desired_.overlay) plan_overlay_device(*desired_.overlay, actual_.overlay, plan_);
  }

  void raise_devices() {
    if (desired_.ipsec) plan_ipsec_up(actual_.ipsec, plan_);
    if (desired_.overlay) plan_overlay_up(*desired_.overlay, actual_.overlay, plan_);
  }

  void add_crypto() {
    if (desired_.tunnel) plan_tunnel_additions(*desired_.tunnel, actual_.tunnel, plan_);
    if (desired_.ipsec) plan_ipsec_additions(*desired_.ipsec, ipsec_, maps_, plan_);
  }

  void remove_crypto() {
    if (desired_.tunnel) plan_tunnel_removals(*desired_.tunnel, actual_.tunnel, plan_);
    if (desired_.ipsec) plan_ipsec_removals(*desired_.ipsec, ipsec_, maps_, plan_);
    if (desired_.overlay) plan_overlay_removals(*desired_.overlay, actual_.overlay, plan_);
  }

  // Of the engine that is not wanted any more, when nothing is sent into it.
  void remove_devices() {
    if (!desired_.tunnel && actual_.tunnel) plan_.emplace_back(RemoveTunnel{actual_.tunnel->name});
    if (!desired_.ipsec) plan_ipsec_removal(ipsec_, plan_);
    if (!desired_.overlay && actual_.overlay) plan_.emplace_back(RemoveTunnel{kOverlayDevice});
  }

  // Nobody is sent to a peer whose tunnel is about to go.
  void unready_peers() {
    for (const auto& [id, entry] : maps_.peers) {
      const auto wanted = desired_.maps.peers.find(id);
      if (wanted == desired_.maps.peers.end()) {
        plan_.emplace_back(DeletePeer{id});
      } else if (entry.ready && !wanted->second.ready) {
        plan_.emplace_back(SetPeer{id, wanted->second});
      }
    }
  }

  void ready_peers() {
    for (const auto& [id, entry] : desired_.maps.peers) {
      const auto now = maps_.peers.find(id);
      const bool done = now != maps_.peers.end() && (now->second == entry || (now->second.ready && !entry.ready));
      if (!done) plan_.emplace_back(SetPeer{id, entry});
    }
  }

  void knock() {
    if (desired_.knocks.empty()) return;
    SendProbes step{kWireguardDevice, {}};
    for (const auto& [id, source, destination] : desired_.knocks)
      step.probes.push_back({id, 0, 0, source, destination});
    plan_.emplace_back(std::move(step));
  }

  void publish() {
    if (desired_.publication && desired_.publication != actual_.publication) {
      plan_.emplace_back(Publish{*desired_.publication});
    }
  }

  // Nothing comes out of the tunnel unchecked: before its first peer. Nor into or out of the overlay: before it is up.
  void guard_devices() {
    for (const auto& [where, settings] : desired_.programs) {
      const bool guards = where.program == SHEATH_DIRECTION_tunnel_ingress || where.device == kOverlayDevice;
      if (!guards || !broken(where)) continue;
      plan_.emplace_back(Attach{where, settings});
      programs_[where] = settings;
    }
  }

  void set_endpoints() {
    for (const auto& [address, entry] : desired_.maps.endpoints) {
      if (differs(maps_.endpoints, address, entry)) plan_.emplace_back(SetEndpoint{address, entry});
    }
  }

  void attach_programs() {
    for (const auto program : kAttachOrder) {
      for (const auto& [where, settings] : desired_.programs) {
        if (where.program == program && differs(programs_, where, settings)) {
          plan_.emplace_back(Attach{where, settings});
        }
      }
    }
  }

  void detach_programs() {
    for (const auto program : kDetachOrder) {
      for (const auto& [where, settings] : actual_.programs) detach_if_unwanted(program, where);
      for (const auto& where : actual_.orphans) detach_if_unwanted(program, where);
    }
  }

  void detach_if_unwanted(Program program, const Attachment& where) {
    if (where.program == program && !desired_.programs.contains(where)) plan_.emplace_back(Detach{where});
  }

  void forget() {
    for (const auto& [address, entry] : maps_.endpoints) {
      if (!desired_.maps.endpoints.contains(address)) plan_.emplace_back(DeleteEndpoint{address});
    }
    for (const auto& [cidr, owner] : maps_.pod_cidrs) {
      if (!desired_.maps.pod_cidrs.contains(cidr)) plan_.emplace_back(DeletePodCidr{cidr});
    }
    for (const auto& [address, owner] : maps_.node_ips) {
      if (!desired_.maps.node_ips.contains(address)) plan_.emplace_back(DeleteNodeIp{address});
    }
  }

  const Desired& desired_;
  const Actual& actual_;
  IpsecActual ipsec_;  // by the time a phase runs
  bool flush_ = false;
  Maps maps_;
  Programs programs_;
  Plan plan_;
};

// Programs, then what they send into, then what they look up.
void plan_removal(const Actual& actual, Plan& plan) {
  for (const auto program : kDetachOrder) {
    for (const auto& [where, settings] : actual.programs) {
      if (where.program == program) plan.emplace_back(Detach{where});
    }
    for (const auto& where : actual.orphans) {
      if (where.program == program && !actual.programs.contains(where)) plan.emplace_back(Detach{where});
    }
  }
  if (actual.tunnel) plan.emplace_back(RemoveTunnel{actual.tunnel->name});
  plan_ipsec_removal(actual.ipsec, plan);
  if (actual.overlay) plan.emplace_back(RemoveTunnel{kOverlayDevice});
  plan_detour_removals({}, actual.detour, plan);
  if (actual.backstop) plan.emplace_back(RemoveBackstop{});
  if (actual.pins != Pins::kNone) plan.emplace_back(RemoveMaps{});
}

}  // namespace

Plan make_plan(const Desired& desired, const Actual& actual) {
  if (desired.tunnel || desired.ipsec) return Planner(desired, actual).make();
  Plan plan;
  if (desired.publication && desired.publication != actual.publication) {
    plan.emplace_back(Publish{*desired.publication});
  }
  plan_removal(actual, plan);
  return plan;
}

Plan make_unload_plan(const Actual& actual) {
  Plan plan;
  if (actual.publication) plan.emplace_back(Withdraw{actual.publication->path});
  plan_removal(actual, plan);
  return plan;
}

}  // namespace sheath::plan
