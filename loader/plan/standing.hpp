// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "loader/plan/model.hpp"
#include "loader/plan/step.hpp"
#include "loader/state/node.hpp"

namespace sheath::plan {

// What a plan left behind when it was done, kept so that the next one, for a few nodes that changed, need not look at
// all others: make_plan() of the desired and the actual state about these nodes alone has the steps that a plan for the
// whole cluster would have. What there is of a peer follows from its node, as it was, and its ID; so of peers nothing
// but that ID is kept. With routing native only, and without node encryption, which is everybody's affair. IPsec's part
// is in standing_ipsec.hpp.
class Standing {
 public:
  explicit Standing(const Desired& done);

  // The ID that a peer has, 0 when it has none.
  std::uint16_t id_of(const std::string& peer) const;
  // Rows by which these peers, as they were, get the IDs that they have.
  Maps claims(std::span<const state::Node> former) const;
  // As much of the actual state as is about some nodes: everything but other peers, and IPsec's traces. `former`: the
  // desired state about them as they were.
  Actual about(const Desired& former) const;
  // Of all nodes.
  const std::vector<bool>& ids_in_use() const { return ids_in_use_; }
  // The plan for `part`, the desired state about the peers of these names, was done.
  void absorb(const std::set<std::string>& names, const Desired& part);

 private:
  Actual frame_;  // without peers of the tunnel, and without rows in the maps
  std::map<std::string, std::uint16_t> ids_;
  std::vector<bool> ids_in_use_;
};

// Lets the programs of `part` know the lengths of pod CIDRs that those of the whole cluster know. False: they know too
// few for these nodes.
bool keep_lengths(const Actual& actual, Desired& part);

// Whether there is no step in it but about peers.
bool is_about_peers(const Plan& plan);

}  // namespace sheath::plan
