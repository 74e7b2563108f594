// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "loader/plan/concern.hpp"

using namespace sheath;
using namespace sheath::plan;

namespace {

Names some_names() {
  Names names;
  names.nodes = {{1, "one"}, {2, "two"}};
  names.keys[keys::PublicKey{{1}}] = "one";
  return names;
}

EspPolicy policy_of(std::uint16_t id) {
  EspPolicy policy;
  policy.node_id = id;
  return policy;
}

}  // namespace

TEST_CASE("concern: a step about a peer names it, by ID or key where it has no name") {
  const auto names = some_names();
  CHECK(peer_of(SetTunnelPeer{"cilium_wg0", keys::PublicKey{{1}}, {}, {}, {}, true}, names) == "one");
  CHECK(peer_of(RemoveTunnelPeer{"cilium_wg0", keys::PublicKey{{9}}}, names) == "key " + keys::PublicKey{{9}}.text());
  CHECK(peer_of(SetPeer{2, {}}, names) == "two");
  CHECK(peer_of(DeletePeer{7}, names) == "node 7");
  CHECK(peer_of(SetPodCidr{{}, {SHEATH_KIND_remote, 1}}, names) == "one");
  CHECK(peer_of(AddState{"one", {StateUse::kTransmit, 1, 3, {}, 0}, {}}, names) == "one");
  CHECK(peer_of(SetPolicies{{policy_of(2)}}, names) == "two");
}

TEST_CASE("concern: what is about this node, or about several peers, is nobody's") {
  const auto names = some_names();
  CHECK_FALSE(peer_of(SetPodCidr{{}, {SHEATH_KIND_local, 0}}, names));
  CHECK_FALSE(peer_of(SetNodeIp{{}, {SHEATH_KIND_cluster, 0}}, names));
  CHECK_FALSE(peer_of(DropPolicies{{policy_of(1), policy_of(2)}}, names));
  CHECK_FALSE(peer_of(Attach{}, names));
  CHECK_FALSE(peer_of(RecordPairs{}, names));
  CHECK_FALSE(peer_of(DeletePodCidr{}, names));
}
