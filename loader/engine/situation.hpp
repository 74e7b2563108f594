// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/engine/engine.hpp"
#include "loader/engine/facts.hpp"
#include "loader/engine/ipsec_material.hpp"
#include "loader/engine/observe.hpp"
#include "loader/netlink/socket.hpp"
#include "loader/plan/desired.hpp"
#include "loader/state/cluster.hpp"

// What is known before a plan is made: input, facts, and the kernel's state. Private to this folder.
namespace sheath::engine {

// What a call of `apply` works on.
struct Session {
  const state::Config& config;
  bool dry_run;
  const Kept* kept;
  netlink::Socket socket;
  DigestCache own_digests;  // where nothing is kept

  DigestCache& digests() { return kept == nullptr ? own_digests : kept->digests; }
  DigestCache* kept_digests() { return kept == nullptr ? nullptr : &kept->digests; }
};

// Refuses where privileges are missing. `config` and `kept` have to outlive it.
Result<Session> open_session(const state::Config& config, bool dry_run, const Kept* kept = nullptr);

struct Input {
  state::Cluster cluster;
  plan::Publication publication;
  plan::Publication publication_encrypting;
  bool says_it_encrypts = false;
  std::vector<std::string> warnings;
};

// What one round knows before it plans.
struct Situation {
  GatheredFacts gathered;
  std::optional<IpsecMaterial> ipsec;
  Input input;
  Observation seen;
  std::optional<plan::IpsecInputs> ipsec_inputs;  // with IPsec

  const plan::IpsecInputs* inputs() const { return ipsec_inputs ? &*ipsec_inputs : nullptr; }
  const IpsecMaterial* secrets() const { return ipsec ? &*ipsec : nullptr; }
};

// Changes nothing but this: in the end, all else being good, a private key that is missing is made.
Result<Situation> look_around(Session& session);

}  // namespace sheath::engine
