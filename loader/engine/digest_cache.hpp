// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <string>

#include "loader/keys/session.hpp"

namespace sheath::engine {

// The digests of the keys between this node's sessions and its peers', kept from one round to the next: each pair costs
// an X25519 computation, and a cluster has thousands. No key is in it, and nothing of a key can be told from it.
class DigestCache {
 public:
  struct Pair {
    keys::PublicKey own;
    std::string peer_name;
    keys::PublicKey peer;
    auto operator<=>(const Pair&) const = default;
  };

  // What is not asked for between two calls of this is forgotten.
  void begin_round();

  // Of the pair, computed when it is not known. The node's own name is always the same.
  Result<keys::PairDigests> digests(const keys::Session& own, const keys::KeyContext& context);

  // Spares the computation to whoever asks for them later.
  void learn(const keys::Pair& keys);

  std::size_t size() const { return now_.size() + before_.size(); }

 private:
  std::map<Pair, keys::PairDigests> now_, before_;
};

}  // namespace sheath::engine
