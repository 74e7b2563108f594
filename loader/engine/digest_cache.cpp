// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/digest_cache.hpp"

#include <utility>

namespace sheath::engine {

void DigestCache::begin_round() {
  before_ = std::exchange(now_, {});
}

Result<keys::PairDigests> DigestCache::digests(const keys::Session& own, const keys::KeyContext& context) {
  const Pair pair{own.public_key(), context.peer_name, context.peer_session};
  if (const auto known = now_.find(pair); known != now_.end()) return known->second;
  if (auto known = before_.extract(pair)) return now_.insert(std::move(known)).position->second;
  const auto keys = keys::Pair::of(own, context);
  if (!keys) return fail(keys.error());
  const auto computed = keys->digests();
  if (computed) now_.emplace(pair, *computed);
  return computed;
}

void DigestCache::learn(const keys::Pair& keys) {
  const Pair pair{keys.own().public_key(), keys.context().peer_name, keys.context().peer_session};
  if (now_.contains(pair)) return;
  if (const auto computed = keys.digests()) now_.emplace(pair, *computed);
}

}  // namespace sheath::engine
