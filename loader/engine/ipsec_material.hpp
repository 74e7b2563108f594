// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "loader/engine/digest_cache.hpp"
#include "loader/keys/ipsec_key.hpp"
#include "loader/keys/session_store.hpp"
#include "loader/plan/ipsec_desired.hpp"
#include "loader/state/config.hpp"
#include "loader/state/node.hpp"

namespace sheath::engine {

// CLOCK_BOOTTIME: goes on while the machine sleeps, and is nobody's to set.
std::chrono::nanoseconds boot_time();

// This node's secrets for IPsec: the key file's key, and the sessions of the run directory. Lives as long as one round.
class IpsecMaterial {
 public:
  // Misuses: a key file that is bad, or whose key has the ID of another one that is in use.
  static Result<IpsecMaterial> load(const state::Config& config);

  const keys::Sessions& sessions() const { return sessions_; }
  const keys::IpsecKey& file_key() const { return file_key_; }
  const keys::SessionStore& store() const { return store_; }
  const std::string& node_name() const { return node_name_; }

  // The pre-shared key of this ID: the file's, or one that a session was drawn with. Null: not held.
  const keys::IpsecKey* psk(std::uint8_t id) const;
  // What the planner has to know. Digests: of the peers that have states in `seen`. What `cache` has of pairs that the
  // call before this one did not ask for either is forgotten.
  Result<plan::IpsecInputs> inputs(const state::Config& config, const state::Cluster& cluster,
                                   const plan::IpsecActual& seen, DigestCache& cache) const;
  // The same, of this node alone: no record, no digests.
  plan::IpsecInputs own_inputs(const state::Config& config) const;
  // Of the keys with each peer of `cluster` that is in `known`, for each generation that it and this node have sessions
  // of. A peer whose session key is of no use has none.
  plan::IpsecDigests digests(const state::Cluster& cluster, const state::Cluster& known, DigestCache& cache) const;
  // What this node publishes.
  void describe(state::Node& own) const;

 private:
  IpsecMaterial(std::string node_name, keys::IpsecKey file_key, keys::SessionStore store, keys::Sessions sessions)
      : node_name_(std::move(node_name)),
        file_key_(std::move(file_key)),
        store_(std::move(store)),
        sessions_(std::move(sessions)) {}
  void add_digests(const state::Node& peer, DigestCache& cache, plan::IpsecDigests& digests) const;

  std::string node_name_;
  keys::IpsecKey file_key_;
  keys::SessionStore store_;
  keys::Sessions sessions_;
};

}  // namespace sheath::engine
