// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "loader/plan/ipsec_desired.hpp"
#include "loader/plan/step.hpp"
#include "loader/state/node.hpp"

namespace sheath::plan {

// What there is between this node and some peers: in the kernel, and on record for the session in use.
struct IpsecTraces {
  std::vector<SeenState> states;
  std::set<EspPolicy> policies;
  std::map<std::string, keys::PublicKey> recorded;  // by peer
  std::map<std::string, std::uint8_t> in_use;       // the generation of the data to each; 0: it is not ready
};

// A peer as it was, and the digests of its keys with this node; none where it had no session.
struct FormerPeer {
  IpsecPeerInput input;
  std::optional<PairDigests> digests;
};

// The part of Standing that is IPsec's. It is had where all nodes have one session each, of one generation and one
// pre-shared key, and all peers but a few are at rest: then the rotation decides the same about some peers whether the
// others are looked at or not, but for their SPIs. Of a peer at rest nothing is kept but that: what there is of it
// follows from its node.
class StandingIpsec {
 public:
  // With more peers on their way a look at all of them is as good.
  static constexpr std::size_t kMaxPending = 64;

  // What `plan`, which led from `actual` to `done`, left. nullopt: it is not had.
  static std::optional<StandingIpsec> make(const Ipsec& done, const IpsecInputs& inputs, const IpsecActual& actual,
                                           const Plan& plan);

  // Whether it still holds when these peers change, from `before` to `after`; `inputs`: of this node, now.
  bool admits(const IpsecInputs& inputs, std::span<const state::Node> before, std::span<const state::Node> after) const;
  // Of the peers of these names; `former`: of those that were there.
  IpsecTraces about(const state::Node& own, const std::set<std::string>& names,
                    std::span<const FormerPeer> former) const;
  // The plan for `part`, the desired state about these peers, was done. `traces`: as about() had them.
  void absorb(IpsecTraces traces, const std::set<std::string>& names, std::span<const state::Node> before,
              const Ipsec& part, const IpsecInputs& inputs, const Plan& plan);

  // The peers that are not at rest.
  const std::set<std::string>& pending() const { return pending_; }

 private:
  explicit StandingIpsec(const OwnSession& session) : session_(session) {}
  bool add_tags(const Ipsec& ipsec);
  void keep(const IpsecTraces& traces, const Ipsec& part);

  OwnSession session_;
  std::map<std::string, IpsecTraces> traces_;  // of each peer that is not at rest, or gone
  std::set<std::string> pending_;
  std::set<std::uint32_t> tags_;  // of all peers' sessions
};

}  // namespace sheath::plan
