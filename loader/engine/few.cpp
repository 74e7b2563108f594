// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/few.hpp"

#include <algorithm>

#include "loader/plan/desired.hpp"
#include "loader/plan/planner.hpp"
#include "loader/state/cluster.hpp"

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

std::vector<const state::Node*> all_of(const Memory& memory, const Few& few) {
  std::vector<const state::Node*> out{&memory.own};
  for (const auto& node : few.before) out.push_back(&node);
  for (const auto& node : few.after) out.push_back(&node);
  return out;
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
    plan::FormerPeer peer{{&node, memory.standing.id_of(node), plan::common_ends(memory.own.node_ips, node.node_ips)},
                          std::nullopt};
    if (!node.ipsec_sessions.empty()) {
      const auto found = digests.find({node.name, node.ipsec_sessions[0].generation});
      if (found != digests.end()) peer.digests = found->second;
    }
    out.push_back(std::move(peer));
  }
  return out;
}

// Those that they have and those that they get: what was heard from an ID's former owner must not count.
std::optional<std::set<std::uint16_t>> ids_of(const Few& few, const plan::Maps& maps, const std::vector<bool>& in_use) {
  std::vector<const state::Node*> peers;
  for (const auto& node : few.after) peers.push_back(&node);
  const auto assigned = plan::assign_node_ids(peers, maps, &in_use);
  if (!assigned) return std::nullopt;
  std::set<std::uint16_t> out;
  for (const auto& [name, id] : *assigned) out.insert(id);
  for (const auto& [id, entry] : maps.peers) out.insert(id);
  return out;
}

// What there is of them, into `actual` and `few`. False: everything has to be looked at.
bool look_at_ipsec(const state::Config& config, const Memory& memory, const state::Cluster& old,
                   const state::Cluster& cluster, const Sight& sight, plan::Actual& actual, Few& few) {
  const auto& material = *sight.ipsec;
  few.ipsec = material.own_inputs(config);
  if (!memory.ipsec || !memory.ipsec->admits(few.ipsec, few.before, few.after)) return false;
  const auto former = former_peers(memory, few, material.digests(old, sight.digests));
  few.traces = memory.ipsec->about(memory.own, few.names, former);
  few.ipsec.digests = material.digests(cluster, sight.digests);
  few.ipsec.recorded[few.ipsec.sessions[0].generation] = few.traces.recorded;
  actual.ipsec.states = few.traces.states;
  actual.ipsec.policies = few.traces.policies;
  const auto ids = ids_of(few, actual.maps, memory.standing.ids_in_use());
  if (!ids) return false;
  auto heard = sight.heard(*ids);
  if (!heard) return false;
  actual.maps.heard = std::move(*heard);
  return true;
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

  const auto nodes = all_of(memory, few);
  auto actual = memory.standing.about(nodes, config.cluster_pod_cidrs);
  if (sight.ipsec != nullptr && !look_at_ipsec(config, memory, *old, *cluster, sight, actual, few)) return std::nullopt;
  auto desired = plan::build_desired({config, *cluster, memory.facts, actual, actual.publication, std::nullopt, false,
                                      sight.ipsec == nullptr ? nullptr : &few.ipsec, &memory.standing.ids_in_use()});
  if (!desired || !plan::keep_lengths(actual, *desired)) return std::nullopt;
  few.desired = std::move(*desired);
  few.plan = plan::make_plan(few.desired, actual);
  if (!plan::is_about_peers(few.plan)) return std::nullopt;
  return few;
}

bool remember(const Few& few, Memory& memory) {
  memory.standing.absorb(all_of(memory, few), few.desired);
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
