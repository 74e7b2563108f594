// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/ipsec_material.hpp"

#include <ctime>

#include <algorithm>
#include <set>

namespace sheath::engine {
namespace {

Result<> check_same_key(const keys::IpsecKey& file_key, const keys::Session& session, const state::Config& config) {
  if (session.psk().id() != file_key.id()) return {};
  const auto theirs = session.psk().fingerprint();
  const auto ours = file_key.fingerprint();
  if (!theirs || !ours) return fail(theirs ? ours.error() : theirs.error());
  if (*theirs == *ours) return {};
  return fail(Error::misuse("key file " + config.ipsec.key_file.string() +
                            ": key ID: " + std::to_string(file_key.id()) + " is in use with another key")
                  .hint("a new key needs a new ID: `sheath key rotate` gives it the next one"));
}

// Where states lead to or come from.
std::set<IpAddress> ends_of(const plan::IpsecActual& seen) {
  std::set<IpAddress> out;
  for (const auto& state : seen.states) out.insert(state.state.ends.peer);
  return out;
}

bool has_any(const state::Node& node, const std::set<IpAddress>& addresses) {
  const auto is_one = [&](const IpAddress& address) { return addresses.contains(address); };
  return std::ranges::any_of(node.node_ips, is_one) || std::ranges::any_of(node.router_ips, is_one);
}

}  // namespace

std::chrono::nanoseconds boot_time() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

Result<IpsecMaterial> IpsecMaterial::load(const state::Config& config) {
  auto file_key = keys::load_ipsec_key(config.ipsec.key_file);
  if (!file_key) {
    auto error = std::move(file_key.error());
    if (error.error_number() == ENOENT) {
      error = std::move(error).hint("make one: sheath key generate --id 3 >" + config.ipsec.key_file.string() +
                                    "; all nodes need the same");
    }
    return fail(std::move(error));
  }
  keys::SessionStore store(config.paths.run);
  auto sessions = store.load();
  if (!sessions) return fail(std::move(sessions.error()));
  for (const auto& [generation, session] : *sessions) {
    if (auto same = check_same_key(*file_key, session, config); !same) return fail(std::move(same.error()));
  }
  return IpsecMaterial(config.node_name, std::move(*file_key), std::move(store), std::move(*sessions));
}

const keys::IpsecKey* IpsecMaterial::psk(std::uint8_t id) const {
  if (file_key_.id() == id) return &file_key_;
  for (const auto& [generation, session] : sessions_) {
    if (session.psk().id() == id) return &session.psk();
  }
  return nullptr;
}

// Where there is none, adding a state says why.
void IpsecMaterial::add_digests(const state::Node& peer, DigestCache& cache, plan::IpsecDigests& out) const {
  for (const auto& theirs : peer.ipsec_sessions) {
    const auto own = sessions_.find(theirs.generation);
    if (own == sessions_.end() || own->second.psk().id() != theirs.psk_id) continue;
    const auto digests = cache.digests(own->second, {node_name_, peer.name, theirs.public_key});
    if (digests) out[{peer.name, theirs.generation}] = *digests;
  }
}

plan::IpsecDigests IpsecMaterial::digests(const state::Cluster& cluster, const state::Cluster& known,
                                          DigestCache& cache) const {
  plan::IpsecDigests out;
  for (const auto& [name, node] : cluster) {
    if (name != node_name_ && known.contains(name)) add_digests(node, cache, out);
  }
  return out;
}

plan::IpsecInputs IpsecMaterial::own_inputs(const state::Config& config) const {
  plan::IpsecInputs out;
  out.file_key_id = file_key_.id();
  out.algorithms.push_back(file_key_.algorithm());
  out.now = boot_time();
  out.timing.key_rotation_duration = config.ipsec.key_rotation_duration;
  out.timing.rotate_every = config.ipsec.rotate_every;
  for (const auto& [generation, session] : sessions_) {
    out.sessions.push_back({generation, session.public_key(), session.tag(), session.psk().id(), session.drawn_at()});
    out.held_psk_ids.insert(session.psk().id());
    out.algorithms.push_back(session.psk().algorithm());
  }
  // Two at most, the older one first.
  if (out.sessions.size() == 2 && plan::is_ahead(out.sessions[0].generation, out.sessions[1].generation)) {
    std::swap(out.sessions[0], out.sessions[1]);
  }
  return out;
}

Result<plan::IpsecInputs> IpsecMaterial::inputs(const state::Config& config, const state::Cluster& cluster,
                                                const plan::IpsecActual& seen, DigestCache& cache) const {
  auto out = own_inputs(config);
  for (const auto& [generation, session] : sessions_) {
    auto recorded = store_.recorded(session);
    if (!recorded) return fail(std::move(recorded.error()));
    out.recorded[generation] = std::move(*recorded);
  }
  cache.begin_round();
  const auto ends = ends_of(seen);
  for (const auto& [name, node] : cluster) {
    if (name != node_name_ && has_any(node, ends)) add_digests(node, cache, out.digests);
  }
  return out;
}

void IpsecMaterial::describe(state::Node& own) const {
  own.ipsec_key_id = file_key_.id();
  own.ipsec_sessions.clear();
  for (const auto& [generation, session] : sessions_) {
    own.ipsec_sessions.push_back({generation, session.public_key(), session.tag(), session.psk().id()});
  }
}

}  // namespace sheath::engine
