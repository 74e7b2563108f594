// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/few.hpp"

#include <algorithm>

#include "loader/plan/desired.hpp"
#include "loader/plan/planner.hpp"
#include "loader/state/cluster.hpp"
#include "maps/marks.h"

namespace sheath::engine {
namespace {

bool announces_encryption(const state::Node& node) {
  return node.node_encryption == true;
}

// This node and these others by what is said of them, once the update is taken; those that nothing is said of are not
// there.
Result<state::Cluster> cluster_of(const std::set<std::string>& names, const state::Config& config, const Memory& memory,
                                  const state::GoodNodes& good, const state::GoodNodes::Update& update) {
  std::vector<state::NodeObject> objects;
  for (const auto& name : names) std::ranges::move(good.objects_of(name, update), std::back_inserter(objects));
  auto made = state::make_cluster(config, objects, memory.own);
  if (!made) return fail(std::move(made.error()));
  return std::move(made->nodes);
}

// Whether they make a cluster with all others.
bool fit_in(const state::Cluster& changed, const Memory& memory, const std::set<std::string>& names) {
  return std::ranges::all_of(changed, [&](const auto& entry) {
    const auto& [name, node] = entry;
    return name == memory.own.name || (!announces_encryption(node) && memory.index.admits(node, names));
  });
}

// Routes say by which of several uplinks and overlays WireGuard's packets seem to come.
bool depends_on_routes(const state::Config& config, const plan::Facts& facts) {
  return config.encryption == state::Encryption::kWireguard && !facts.routes.empty() &&
         (facts.uplinks.size() != 1 || !facts.overlays.empty());
}

bool can_remember(const Memory::Round& round) {
  const auto& [config, cluster, facts, actual, ipsec, desired, plan] = round;
  return config.encryption != state::Encryption::kNone && config.routing == state::Routing::kNative &&
         !config.node_encryption && !depends_on_routes(config, facts) && desired.waits.empty() &&
         desired.waiting_for_key.size() <= plan::StandingIpsec::kMaxPending &&
         std::ranges::none_of(cluster, [](const auto& entry) { return announces_encryption(entry.second); });
}

std::vector<plan::FormerPeer> former_peers(const Memory& memory, const Few& few, const plan::IpsecDigests& digests) {
  std::vector<plan::FormerPeer> out;
  for (const auto& node : few.before) {
    const auto ends = plan::common_ends(memory.own.node_ips, node.node_ips);
    plan::FormerPeer peer{{&node, memory.standing.id_of(node.name), ends}, std::nullopt};
    if (!node.ipsec_sessions.empty()) {
      const auto found = digests.find({node.name, node.ipsec_sessions[0].generation});
      if (found != digests.end()) peer.digests = found->second;
    }
    out.push_back(peer);
  }
  return out;
}

// Those that they have and those that they get: what was heard from an ID's former owner must not count.
std::optional<std::set<std::uint16_t>> ids_of(const Memory& memory, const Few& few) {
  std::vector<const state::Node*> peers;
  for (const auto& node : few.after) peers.push_back(&node);
  const auto claims = memory.standing.claims(few.before);
  const auto assigned = plan::assign_node_ids(peers, claims, &memory.standing.ids_in_use());
  if (!assigned) return std::nullopt;
  std::set<std::uint16_t> out;
  for (const auto& [name, id] : *assigned) out.insert(id);
  for (const auto& node : few.before) out.insert(memory.standing.id_of(node.name));
  return out;
}

// What there is of them with IPsec, into `few`, and what was heard from them. nullopt: everything has to be looked at.
std::optional<std::map<std::uint16_t, plan::Heard>> look_at_ipsec(const state::Config& config, const Memory& memory,
                                                                  const state::Cluster& old,
                                                                  const state::Cluster& cluster, const Sight& sight,
                                                                  Few& few) {
  const auto& material = *sight.ipsec;
  few.ipsec = material.own_inputs(config);
  if (!memory.ipsec->admits(few.ipsec, few.before, few.after)) return std::nullopt;
  const auto former = former_peers(memory, few, material.digests(old, old, sight.digests));
  few.traces = memory.ipsec->about(memory.own, few.names, former);
  few.ipsec.digests = material.digests(cluster, old, sight.digests);  // what is new has no states yet
  few.ipsec.recorded[few.ipsec.sessions[0].generation] = few.traces.recorded;
  const auto ids = ids_of(memory, few);
  if (!ids) return std::nullopt;
  auto heard = sight.heard(*ids);
  if (!heard) return std::nullopt;
  return std::move(*heard);
}

// What makes the desired state about nodes, as they were, what there is of them.
plan::Actual former_claims(const Memory& memory, const Few& few) {
  plan::Actual out;
  out.pins = plan::Pins::kAll;
  out.maps = memory.standing.claims(few.before);
  for (const auto& node : few.before) {
    if (node.wireguard_key) out.shaken_hands.insert(*node.wireguard_key);  // nobody is waited for
  }
  for (const auto& [name, generation] : few.traces.in_use) {
    const auto id = memory.standing.id_of(name);
    if (id != 0) out.maps.peers[id] = {sheath_tx_mark(id, generation), generation != 0, std::nullopt, {}};
  }
  return out;
}

// As much of the actual state as is about these nodes.
std::optional<plan::Actual> actual_of(const state::Config& config, const Memory& memory, const state::Cluster& old,
                                      const Few& few) {
  const auto claims = former_claims(memory, few);
  const auto* ipsec = memory.ipsec ? &few.ipsec : nullptr;
  const auto former = plan::build_desired(
      {config, old, memory.facts, claims, std::nullopt, std::nullopt, false, ipsec, &memory.standing.ids_in_use()});
  if (!former) return std::nullopt;
  auto out = memory.standing.about(*former);
  if (!memory.ipsec) return out;
  out.maps.peers = claims.maps.peers;
  out.ipsec.states = few.traces.states;
  out.ipsec.policies = few.traces.policies;
  return out;
}

}  // namespace

std::optional<Memory> Memory::of(const Round& round) {
  if (!can_remember(round)) return std::nullopt;
  const auto& own = round.cluster.at(round.config.node_name);
  Memory out{round.facts, own, state::ClusterIndex(round.cluster), plan::Standing(round.desired), std::nullopt, {}};
  if (round.ipsec == nullptr) {
    out.pending = {round.desired.waiting_for_key.begin(), round.desired.waiting_for_key.end()};
    return out;
  }
  out.ipsec = plan::StandingIpsec::make(*round.desired.ipsec, *round.ipsec, round.actual.ipsec, round.plan);
  if (!out.ipsec) return std::nullopt;
  out.pending = out.ipsec->pending();
  return out;
}

std::optional<Few> plan_few(const state::Config& config, const Memory& memory, const state::GoodNodes& good,
                            std::span<const state::ChangedFile> files, const Sight& sight) {
  auto update = good.compare(files);
  if (!update || update->nodes.contains(config.node_name)) return std::nullopt;
  if (memory.ipsec.has_value() != (sight.ipsec != nullptr)) return std::nullopt;
  Few few;
  few.names = update->nodes;
  few.names.insert(memory.pending.begin(), memory.pending.end());
  const auto old = cluster_of(few.names, config, memory, good, {});
  const auto cluster = cluster_of(few.names, config, memory, good, *update);
  if (!old || !cluster || !fit_in(*cluster, memory, few.names)) return std::nullopt;
  few.update = std::move(*update);
  for (const auto& name : few.names) {
    if (const auto found = old->find(name); found != old->end()) few.before.push_back(found->second);
    if (const auto found = cluster->find(name); found != cluster->end()) few.after.push_back(found->second);
  }

  std::map<std::uint16_t, plan::Heard> heard;
  if (sight.ipsec != nullptr) {
    auto found = look_at_ipsec(config, memory, *old, *cluster, sight, few);
    if (!found) return std::nullopt;
    heard = std::move(*found);
  }
  auto actual = actual_of(config, memory, *old, few);
  if (!actual) return std::nullopt;
  actual->maps.heard = std::move(heard);
  auto desired = plan::build_desired({config, *cluster, memory.facts, *actual, actual->publication, std::nullopt, false,
                                      sight.ipsec == nullptr ? nullptr : &few.ipsec, &memory.standing.ids_in_use()});
  if (!desired || !plan::keep_lengths(*actual, *desired)) return std::nullopt;
  few.desired = std::move(*desired);
  few.plan = plan::make_plan(few.desired, *actual);
  if (!plan::is_about_peers(few.plan)) return std::nullopt;
  return few;
}

bool remember(const Few& few, Memory& memory) {
  memory.standing.absorb(few.names, few.desired);
  for (const auto& node : few.before) memory.index.remove(node);
  for (const auto& node : few.after) memory.index.add(node);
  if (memory.ipsec) {
    memory.ipsec->absorb(few.traces, few.names, few.before, *few.desired.ipsec, few.ipsec, few.plan);
    memory.pending = memory.ipsec->pending();
  } else {
    memory.pending = {few.desired.waiting_for_key.begin(), few.desired.waiting_for_key.end()};
  }
  return few.desired.waits.empty() && memory.pending.size() <= plan::StandingIpsec::kMaxPending;
}

}  // namespace sheath::engine
