// SPDX-License-Identifier: Apache-2.0
// The uplinks with IPsec: key IDs in marks, ESP and the VXLAN around it, and marks that do not open doors.
#include <doctest/doctest.h>

#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

constexpr sheath_direction kOut = SHEATH_DIRECTION_uplink_egress;
constexpr sheath_direction kIn = SHEATH_DIRECTION_uplink_ingress;

PacketSpec esp(const Party& source, const Party& dest, Family family) {
  PacketSpec spec = between(source, dest, family);
  spec.protocol = kEsp;
  return spec;
}

PacketSpec vxlan(const Party& source, const Party& dest, Family family) {
  PacketSpec spec = between(source, dest, family);
  spec.dest_port = kVxlanPort;
  return spec;
}

void expect_in_strict(const PacketSpec& spec, std::uint32_t mark, Expected expected) {
  if (expected.out_ifindex == 0) expected.mark = mark;
  expect_unchanged(shared_ipsec_cluster(Mode::kStrict), kOut, build(spec), expected, at_uplink(mark));
}

void expect_own(const PacketSpec& spec) {
  Expected expected = passes(SHEATH_REASON_own_outer);
  expected.mark = kOuterMark;
  for (const Mode mode : kModes)
    expect_unchanged(shared_ipsec_cluster(mode), kOut, build(spec), expected, at_uplink(kOuterMark));
}

}  // namespace

TEST_CASE("ipsec: into the tunnel goes the mark that the map holds, key ID and all, from one packet to the next") {
  Cluster cluster(ipsec_config_for(Mode::kStrict));
  for (std::uint32_t key_id = 1; key_id < 16; ++key_id) {
    const std::uint32_t mark = 0x20e00 | key_id << 12;
    cluster.set_peer(kReadyNode, {mark, SHEATH_PEER_ready, {}, SHEATH_NODE_TRAFFIC_plain});
    for (const Family family : kFamilies)
      expect_unchanged(cluster, kOut, build(between(kLocalPod, kRemotePod, family)), encrypts(mark), at_uplink());
  }
}

TEST_CASE("ipsec: kube-proxy's marks neither stop a packet nor survive on the way into the tunnel") {
  for (const std::uint32_t mark : {0x4000u, 0x8000u, 0xc000u, 0x4e00u, 0x23d00u, kOuterMark})
    for (const Family family : kFamilies) {
      CAPTURE(mark);
      expect_in_strict(between(kLocalPod, kRemotePod, family), mark, encrypts(kKeyedMark));
      expect_in_strict(between(kLocalPod, kKeylessPod, family), mark, drops(SHEATH_REASON_no_key, kKeylessNode));
    }
}

TEST_CASE(
    "ipsec: ESP from this node to a peer passes by the mark that its transmit state left, whole or in fragments") {
  for (const Family family : kFamilies) {
    expect_own(esp(kLocalNode, kRemoteNode, family));
    expect_own(esp(kLocalRouter, kRemoteRouter, family));
    PacketSpec spec = esp(kLocalNode, kRemoteNode, family);
    for (const Fragment fragment : {Fragment{0, true}, Fragment{180, true}, Fragment{180, false}}) {
      spec.fragment = fragment;
      expect_own(spec);
    }
  }
}

TEST_CASE("ipsec: ESP without exactly that mark is no state's, and is judged like any packet between its addresses") {
  for (const std::uint32_t mark : {0u, 0x4000u, 0x4e00u, 0x23e00u, 0xe01u, 0xd00u})
    for (const Family family : kFamilies) {
      CAPTURE(mark);
      expect_in_strict(esp(kLocalNode, kRemoteNode, family), mark, passes(SHEATH_REASON_node_plain, kReadyNode));
      expect_in_strict(esp(kLocalRouter, kRemoteRouter, family), mark, encrypts(kKeyedMark));
    }
}

TEST_CASE("ipsec: VXLAN that carries our ESP passes by its mark and its port, whole or in fragments") {
  for (const Family family : kFamilies) {
    PacketSpec spec = vxlan(kLocalNode, kRemoteNode, family);
    expect_own(spec);
    for (const Fragment fragment : {Fragment{0, true}, Fragment{180, true}, Fragment{180, false}}) {
      spec.fragment = fragment;
      expect_own(spec);
    }
  }
}

TEST_CASE("ipsec: VXLAN without exactly that mark carries plaintext, and is the node's own traffic") {
  const Expected node = passes(SHEATH_REASON_node_plain, kReadyNode);
  for (const Family family : kFamilies) {
    for (const std::uint32_t mark : {0u, 0x4000u, 0x4e00u, 0x20e00u, 0x23e00u, 0xe01u, 0xd00u})
      expect_in_strict(vxlan(kLocalNode, kRemoteNode, family), mark, node);
    PacketSpec spec = vxlan(kLocalNode, kRemoteNode, family);
    std::swap(spec.source_port, spec.dest_port);
    expect_in_strict(spec, kOuterMark, node);
    spec = vxlan(kLocalNode, kRemoteNode, family);
    spec.protocol = kTcp;
    expect_in_strict(spec, kOuterMark, node);
  }
}

TEST_CASE("ipsec: without an overlay nothing is VXLAN of ours") {
  sheath_config config = ipsec_config_for(Mode::kStrict);
  config.vxlan_port = 0;
  Cluster cluster(config);
  Expected expected = passes(SHEATH_REASON_node_plain, kReadyNode);
  expected.mark = kOuterMark;
  for (const Family family : kFamilies) {
    PacketSpec spec = vxlan(kLocalNode, kRemoteNode, family);
    expect_unchanged(cluster, kOut, build(spec), expected, at_uplink(kOuterMark));
    spec.dest_port = 0;
    expect_unchanged(cluster, kOut, build(spec), expected, at_uplink(kOuterMark));
  }
}

TEST_CASE("ipsec: a pod that crafts VXLAN or ESP is a pod all the same, whatever its mark") {
  for (const Family family : kFamilies)
    for (const std::uint8_t protocol : {kUdp, kEsp})
      for (const std::uint32_t mark : {0u, kOuterMark}) {
        PacketSpec spec = vxlan(kLocalPod, kRemotePod, family);
        spec.protocol = protocol;
        expect_in_strict(spec, mark, encrypts(kKeyedMark));
        spec.dest = kRemoteRouter.address(family);
        expect_in_strict(spec, mark, encrypts(kKeyedMark));
        spec.dest = kKeylessPod.address(family);
        expect_in_strict(spec, mark, drops(SHEATH_REASON_no_key, kKeylessNode));
        spec.dest = kRemoteNode.address(family);
        expect_in_strict(spec, mark, passes(SHEATH_REASON_node_plain, kReadyNode));
      }
}

TEST_CASE("ipsec: ESP and VXLAN between a peer's addresses and others' are no outer packets of ours") {
  for (const Family family : kFamilies) {
    for (const PacketSpec& spec : {vxlan(kLocalNode, kWorld, family), esp(kLocalNode, kWorld, family)})
      expect_in_strict(spec, kOuterMark, passes(SHEATH_REASON_world));
    for (const PacketSpec& spec : {vxlan(kWorld, kRemoteNode, family), esp(kWorld, kRemoteNode, family)})
      expect_in_strict(spec, kOuterMark, passes(SHEATH_REASON_world, kReadyNode));
  }
}

TEST_CASE("ipsec: ESP from a known node to this one passes on to the kernel, whole or in fragments") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies)
      for (const std::optional<Fragment>& fragment :
           {std::optional<Fragment>{}, {Fragment{0, true}}, {Fragment{180, false}}}) {
        PacketSpec spec = esp(kRemoteNode, kLocalNode, family);
        spec.fragment = fragment;
        expect_unchanged(shared_ipsec_cluster(mode), kIn, build(spec), passes(SHEATH_REASON_own_outer), at_uplink());
      }
}

TEST_CASE("ipsec: a mark that a receive state gave opens nothing at an uplink, where nobody has checked the source") {
  for (const std::uint32_t mark : {0xd00u, 0x20d00u, 0x23d00u, 0x33d00u, 0x23e00u, kOuterMark}) {
    CAPTURE(mark);
    Expected expected = drops(SHEATH_REASON_plaintext_ingress, kReadyNode);
    expected.mark = mark;
    for (const Family family : kFamilies)
      expect_unchanged(shared_ipsec_cluster(Mode::kStrict), kIn, build(between(kRemotePod, kLocalPod, family)),
                       expected, at_uplink(mark));
  }
}

TEST_CASE("ipsec: our own ICMP answer passes uplink ingress, and its mark ends here") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies)
      expect_unchanged(shared_ipsec_cluster(mode), kIn, build(between(kRemotePod, kLocalPod, family)),
                       passes(SHEATH_REASON_own_answer), at_uplink(0xc00));
}

TEST_CASE("ipsec: at an overlay, ESP between routers passes on to the kernel, and pods' plaintext does not") {
  for (const Mode mode : kModes) {
    sheath_config config = ipsec_config_for(mode);
    config.overlay = 1;
    Cluster cluster(config);
    for (const Family family : kFamilies) {
      expect_unchanged(cluster, kIn, build(esp(kRemoteRouter, kLocalRouter, family)), passes(SHEATH_REASON_own_outer),
                       at_uplink());
      for (const PacketSpec& spec : {between(kRemotePod, kLocalPod, family), esp(kRemotePod, kLocalPod, family),
                                     esp(kRemotePod, kLocalRouter, family), esp(kRemoteRouter, kLocalPod, family)})
        expect_unchanged(cluster, kIn, build(spec), withheld(SHEATH_REASON_plaintext_ingress, mode, kReadyNode),
                         at_uplink());
    }
  }
}
