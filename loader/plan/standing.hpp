// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loader/plan/model.hpp"
#include "loader/plan/step.hpp"
#include "loader/state/node.hpp"

namespace sheath::plan {

using Nodes = std::span<const state::Node* const>;

// What a plan left behind when it was done, kept so that the next one, for a few nodes that changed, need not look at
// all others: make_plan() of the desired and the actual state about these nodes alone has the steps that a plan for the
// whole cluster would have. With routing native only, and without node encryption, which is everybody's affair. IPsec's
// part is in standing_ipsec.hpp.
class Standing {
 public:
  explicit Standing(const Desired& done);

  // As much of the actual state as is about these nodes: everything but other peers, and IPsec's traces. `nodes`: this
  // node, and each that changed as it was and as it is to be.
  Actual about(Nodes nodes, std::span<const Cidr> cluster_pod_cidrs) const;
  // The ID that a peer has, 0 when it has none.
  std::uint16_t id_of(const state::Node& peer) const;
  // Of all nodes.
  const std::vector<bool>& ids_in_use() const { return ids_; }
  // The plan for `part`, the desired state about these nodes, was done.
  void absorb(Nodes nodes, const Desired& part);

 private:
  Actual frame_;  // without peers of the tunnel, and without rows in the maps
  TunnelPeers tunnel_peers_;
  Maps maps_;
  std::vector<bool> ids_;
};

// Lets the programs of `part` know the lengths of pod CIDRs that those of the whole cluster know. False: they know too
// few for these nodes.
bool keep_lengths(const Actual& actual, Desired& part);

// Whether there is no step in it but about peers.
bool is_about_peers(const Plan& plan);

}  // namespace sheath::plan
