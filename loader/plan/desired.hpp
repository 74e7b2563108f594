// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/plan/facts.hpp"
#include "loader/plan/ipsec_desired.hpp"
#include "loader/state/config.hpp"
#include "loader/state/node.hpp"

namespace sheath::plan {

struct Inputs {
  const state::Config& config;
  const state::Cluster& cluster;  // this node included, with its public key
  const Facts& facts;
  const Actual& actual;  // what peers have now is kept: node IDs, and with IPsec their states
  std::optional<Publication> publication;
  std::optional<Publication> publication_encrypting =
      std::nullopt;                               // the same, and that this node encrypts its node traffic
  bool says_it_encrypts = false;                  // what is published of it now
  const IpsecInputs* ipsec = nullptr;             // with encryption ipsec
  const std::vector<bool>* ids_in_use = nullptr;  // of nodes that are not in `cluster`, where that is a part of one
};

// What the node should look like. With encryption `none` nothing but the publication, which then carries no key: peers
// in strict mode send this node nothing rather than plaintext.
// With IPsec, what is next for each peer is decided here.
// A misuse when this node is not in the cluster, or the uplinks leave no room for the tunnel (MTU).
Result<Desired> build_desired(const Inputs& inputs);

}  // namespace sheath::plan
