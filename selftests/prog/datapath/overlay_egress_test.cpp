// SPDX-License-Identifier: Apache-2.0
// Leaving by an overlay: the uplink's verdicts, and what passes needs a node to carry it to. Where it is carried,
// overlay_live_test.cpp shows.
#include <doctest/doctest.h>

#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

const Row kWithheld[] = {
    {kLocalPod, kKeylessPod, SHEATH_REASON_no_key, kKeylessNode},
    {kRemotePod, kKeylessPod, SHEATH_REASON_bad_source, kKeylessNode},
    {kRemotePod, kRemotePod, SHEATH_REASON_bad_source, kReadyNode},
    {kUnknownPod, kRemotePod, SHEATH_REASON_bad_source, kReadyNode},
};

const Row kWithheldForNobody[] = {
    {kLocalPod, kPeerlessPod, SHEATH_REASON_no_key, kPeerlessNode},
    {kLocalPod, kUnknownPod, SHEATH_REASON_unknown_node},
    {kRemotePod, kUnknownPod, SHEATH_REASON_bad_source},
};

const Row kPassed[] = {
    {kWorld, kRemotePod, SHEATH_REASON_foreign, kReadyNode},
    {kLocalNode, kRemotePod, SHEATH_REASON_node_plain, kReadyNode},
    {kLocalNode, kRemoteNode, SHEATH_REASON_node_plain, kReadyNode},
    {kLocalPod, kRemoteNode, SHEATH_REASON_node_plain, kReadyNode},
    {kWorld, kRemoteNode, SHEATH_REASON_world, kReadyNode},
};

const Row kForNobody[] = {
    {kLocalPod, kOtherLocalPod, SHEATH_REASON_no_underlay},
    {kLocalPod, kLocalNode, SHEATH_REASON_no_underlay},
    {kLocalPod, kWorld, SHEATH_REASON_no_underlay},
    {kWorld, kOtherWorld, SHEATH_REASON_no_underlay},
    {kWorld, kUnknownPod, SHEATH_REASON_no_underlay},
    {kLocalNode, kUnknownPod, SHEATH_REASON_no_underlay},
    {kLocalNode, kPeerlessPod, SHEATH_REASON_no_underlay, kPeerlessNode},
};

using Expectation = std::function<Expected(const Row&, Mode)>;

void expect_all(std::span<const Row> rows, const Expectation& expected) {
  for (const Row& row : rows)
    for (const Mode mode : kModes)
      for (const Family family : kFamilies)
        for (const std::uint32_t mark : {0u, 0x4000u, 0x8000u}) {
          INFO(row.source.name << " to " << row.dest.name << ", " << name_of(mode) << ", IPv"
                               << static_cast<int>(family));
          Expected outcome = expected(row, mode);
          if (outcome.out_ifindex == 0) outcome.mark = mark;
          expect_unchanged(shared_ipsec_cluster(mode), SHEATH_DIRECTION_overlay_egress,
                           build(between(row.source, row.dest, family)), outcome, at_uplink(mark));
        }
}

Bytes esp_frame(const Party& source, const Party& dest, Family family) {
  PacketSpec spec = between(source, dest, family);
  spec.protocol = kEsp;
  return build(spec);
}

Expected own_esp() {
  Expected expected = passes(SHEATH_REASON_own_outer, kReadyNode);
  expected.mark = kOuterMark;
  return expected;
}

}  // namespace

TEST_CASE("overlay egress: from a local pod to a ready peer's pod goes into the tunnel, with the peer's mark") {
  const Row rows[] = {{kLocalPod, kRemotePod, SHEATH_REASON_encrypted},
                      {kLocalRouter, kRemotePod, SHEATH_REASON_encrypted}};
  expect_all(rows, [](const Row&, Mode) { return encrypts(kKeyedMark); });
}

TEST_CASE("overlay egress: what may not leave in plaintext is dropped, and permissive lets it pass to its node") {
  expect_all(kWithheld, [](const Row& row, Mode mode) { return withheld(row.reason, mode, row.node_id); });
}

TEST_CASE("overlay egress: what permissive would let pass, but no node is known for, is dropped all the same") {
  expect_all(kWithheldForNobody, [](const Row& row, Mode mode) {
    return drops(mode == Mode::kStrict ? row.reason : SHEATH_REASON_no_underlay, row.node_id);
  });
}

TEST_CASE("overlay egress: foreign and node traffic passes to its node in both modes, and keeps others' marks") {
  expect_all(kPassed, [](const Row& row, Mode) { return passes(row.reason, row.node_id); });
}

TEST_CASE("overlay egress: what is for no node is dropped in both modes") {
  expect_all(kForNobody, [](const Row& row, Mode) { return drops(row.reason, row.node_id); });
}

TEST_CASE("overlay egress: our ESP between routers passes to the peer's node, and keeps the mark") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies)
      expect_unchanged(shared_ipsec_cluster(mode), SHEATH_DIRECTION_overlay_egress,
                       esp_frame(kLocalRouter, kRemoteRouter, family), own_esp(), at_uplink(kOuterMark));
}

TEST_CASE("overlay egress: ESP between routers without exactly that mark is a pod's packet") {
  for (const std::uint32_t mark : {0u, 0x4000u, 0x4e00u, 0x23e00u, 0xe01u})
    for (const Family family : kFamilies)
      expect_unchanged(shared_ipsec_cluster(Mode::kStrict), SHEATH_DIRECTION_overlay_egress,
                       esp_frame(kLocalRouter, kRemoteRouter, family), encrypts(kKeyedMark), at_uplink(mark));
}

TEST_CASE("overlay egress: a peer is found over IPv4 or IPv6, and without an address not at all") {
  Cluster cluster(ipsec_config_for(Mode::kStrict));
  for (const Family family : kFamilies) {
    const Bytes packet = esp_frame(kLocalRouter, kRemoteRouter, family);
    for (const Family underlay : kFamilies) {
      cluster.set_peer(kReadyNode, {kKeyedMark, SHEATH_PEER_ready, underlay_address(kRemoteNode.address(underlay)),
                                    SHEATH_NODE_TRAFFIC_plain});
      expect_unchanged(cluster, SHEATH_DIRECTION_overlay_egress, packet, own_esp(), at_uplink(kOuterMark));
    }
    cluster.set_peer(kReadyNode, {kKeyedMark, SHEATH_PEER_ready, {}, SHEATH_NODE_TRAFFIC_plain});
    Expected lost = drops(SHEATH_REASON_no_underlay, kReadyNode);
    lost.mark = kOuterMark;
    expect_unchanged(cluster, SHEATH_DIRECTION_overlay_egress, packet, lost, at_uplink(kOuterMark));
  }
}

TEST_CASE("overlay egress: our mark is taken off plaintext that passes, so that no VXLAN carries it by mistake") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies)
      for (const Party* dest : {&kRemotePod, &kRemoteNode})
        expect_unchanged(shared_ipsec_cluster(mode), SHEATH_DIRECTION_overlay_egress,
                         build(between(kLocalNode, *dest, family)), passes(SHEATH_REASON_node_plain, kReadyNode),
                         at_uplink(kOuterMark));
  for (const Family family : kFamilies)
    expect_unchanged(shared_ipsec_cluster(Mode::kPermissive), SHEATH_DIRECTION_overlay_egress,
                     build(between(kLocalPod, kKeylessPod, family)),
                     withheld(SHEATH_REASON_no_key, Mode::kPermissive, kKeylessNode), at_uplink(kOuterMark));
}

TEST_CASE("overlay egress: what stays on its link, or is no IP, is left to the device") {
  Bytes arp = build(between(kLocalPod, kRemotePod, Family::kIpv4));
  write16(arp, 12, 0x0806);
  PacketSpec multicast = between(kLocalPod, kRemotePod, Family::kIpv6);
  multicast.dest = "ff02::16";
  PacketSpec discovery = between(kLocalNode, kRemoteNode, Family::kIpv6);
  discovery.protocol = kIcmpv6;
  discovery.icmp_type = 135;
  discovery.hop_limit = 255;
  for (const Mode mode : kModes) {
    auto& cluster = shared_ipsec_cluster(mode);
    expect_unchanged(cluster, SHEATH_DIRECTION_overlay_egress, arp, passes(SHEATH_REASON_not_ip), at_uplink());
    expect_unchanged(cluster, SHEATH_DIRECTION_overlay_egress, build(multicast), passes(SHEATH_REASON_link_scope),
                     at_uplink());
    expect_unchanged(cluster, SHEATH_DIRECTION_overlay_egress, build(discovery), passes(SHEATH_REASON_link_scope),
                     at_uplink());
  }
}

TEST_CASE("overlay egress: what cannot be parsed is dropped in both modes: nobody can tell whom it is for") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies) {
      Bytes cut = build(between(kLocalPod, kRemotePod, family));
      cut.resize(cut.size() - 33);
      expect_unchanged(shared_ipsec_cluster(mode), SHEATH_DIRECTION_overlay_egress, cut,
                       drops(mode == Mode::kStrict ? SHEATH_REASON_unparsable : SHEATH_REASON_no_underlay),
                       at_uplink());
    }
}

TEST_CASE("overlay egress: a ready peer counts as not ready while there is no tunnel") {
  for (const Mode mode : kModes) {
    sheath_config fenced = ipsec_config_for(mode);
    fenced.tunnel_ifindex = 0;
    Cluster cluster(fenced);
    for (const Family family : kFamilies)
      expect_unchanged(cluster, SHEATH_DIRECTION_overlay_egress, build(between(kLocalPod, kRemotePod, family)),
                       withheld(SHEATH_REASON_no_key, mode, kReadyNode), at_uplink());
  }
}

TEST_CASE("overlay egress: with WireGuard too, pods' packets go into the tunnel and not into the overlay") {
  for (const Family family : kFamilies)
    expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_overlay_egress,
                     build(between(kLocalPod, kRemotePod, family)), encrypts(), at_uplink());
}
