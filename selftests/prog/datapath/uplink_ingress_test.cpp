// SPDX-License-Identifier: Apache-2.0
// The verdict table, arriving at an uplink.
#include <doctest/doctest.h>

#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

const Row kWithheld[] = {
    {kRemotePod, kLocalPod, SHEATH_REASON_plaintext_ingress, kReadyNode},
    {kKeylessPod, kLocalPod, SHEATH_REASON_plaintext_ingress, kKeylessNode},
    {kUnknownPod, kLocalPod, SHEATH_REASON_plaintext_ingress},
    {kRemotePod, kUnknownPod, SHEATH_REASON_plaintext_ingress, kReadyNode},
    {kOtherLocalPod, kLocalPod, SHEATH_REASON_bad_source},
    {kLocalPod, kRemotePod, SHEATH_REASON_bad_source},
};

const Row kPassed[] = {
    {kWorld, kLocalPod, SHEATH_REASON_foreign},
    {kRemoteNode, kLocalPod, SHEATH_REASON_node_plain, kReadyNode},
    {kRemoteNode, kLocalNode, SHEATH_REASON_node_plain, kReadyNode},
    {kRemotePod, kLocalNode, SHEATH_REASON_node_plain, kReadyNode},
    {kWorld, kLocalNode, SHEATH_REASON_local},
    {kWorld, kOtherWorld, SHEATH_REASON_world},
};

}  // namespace

TEST_CASE("uplink ingress: a pod's packet in plaintext is dropped, and only permissive lets it pass") {
  expect_rows(SHEATH_DIRECTION_uplink_ingress, kWithheld,
              [](const Row& row, Mode mode) { return withheld(row.reason, mode, row.node_id); });
}

TEST_CASE("uplink ingress: what no peer should have encrypted passes untouched in both modes") {
  expect_rows(SHEATH_DIRECTION_uplink_ingress, kPassed,
              [](const Row& row, Mode) { return passes(row.reason, row.node_id); });
}

TEST_CASE("uplink ingress: WireGuard and ESP from a known node to this one pass on to the kernel") {
  for (const std::uint8_t protocol : {kUdp, kEsp})
    for (const Mode mode : kModes)
      for (const Family family : kFamilies) {
        PacketSpec spec = between(kRemoteNode, kLocalNode, family);
        spec.protocol = protocol;
        spec.source_port = spec.dest_port = kWireguardPort;
        expect_unchanged(shared_cluster(mode), SHEATH_DIRECTION_uplink_ingress, build(spec),
                         passes(SHEATH_REASON_own_outer), at_uplink());
      }
}

TEST_CASE("uplink ingress: a pod's packet that looks like WireGuard or ESP is a pod's packet") {
  for (const std::uint8_t protocol : {kUdp, kEsp})
    for (const Family family : kFamilies) {
      PacketSpec spec = between(kRemotePod, kLocalPod, family);
      spec.protocol = protocol;
      spec.source_port = spec.dest_port = kWireguardPort;
      expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_uplink_ingress, build(spec),
                       drops(SHEATH_REASON_plaintext_ingress, kReadyNode), at_uplink());
    }
}

TEST_CASE("uplink ingress: what tunnel_ingress decrypted passes, and its mark ends here") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies)
      expect_unchanged(shared_cluster(mode), SHEATH_DIRECTION_uplink_ingress,
                       build(between(kRemotePod, kLocalPod, family)), passes(SHEATH_REASON_decrypted, kReadyNode),
                       at_uplink(0x20d00));
}

TEST_CASE("uplink ingress: our own ICMP answer passes, and its mark ends here") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies)
      expect_unchanged(shared_cluster(mode), SHEATH_DIRECTION_uplink_ingress,
                       build(between(kRemotePod, kLocalPod, family)), passes(SHEATH_REASON_own_answer),
                       at_uplink(0xc00));
}

TEST_CASE("uplink ingress: another's mark does not make plaintext ours") {
  for (const std::uint32_t mark : {0xe00u, 0x20e00u, 0x10c00u, 0xc01u, 0xd01u, 0x4d80u, 0x4000u}) {
    CAPTURE(mark);
    Expected expected = drops(SHEATH_REASON_plaintext_ingress, kReadyNode);
    expected.mark = mark;
    for (const Family family : kFamilies)
      expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_uplink_ingress,
                       build(between(kRemotePod, kLocalPod, family)), expected, at_uplink(mark));
  }
}

TEST_CASE("uplink ingress: ARP, neighbour discovery and multicast pass") {
  Bytes arp = build(between(kRemotePod, kLocalPod, Family::kIpv4));
  write16(arp, 12, 0x0806);
  PacketSpec discovery = between(kRemoteNode, kLocalPod, Family::kIpv6);
  discovery.protocol = kIcmpv6;
  discovery.icmp_type = 135;
  discovery.hop_limit = 255;
  PacketSpec multicast = between(kRemotePod, kLocalPod, Family::kIpv4);
  multicast.dest = "224.0.0.251";
  for (const Mode mode : kModes) {
    auto& cluster = shared_cluster(mode);
    const sheath_direction here = SHEATH_DIRECTION_uplink_ingress;
    expect_unchanged(cluster, here, arp, passes(SHEATH_REASON_not_ip), at_uplink());
    expect_unchanged(cluster, here, build(discovery), passes(SHEATH_REASON_link_scope), at_uplink());
    expect_unchanged(cluster, here, build(multicast), passes(SHEATH_REASON_link_scope), at_uplink());
  }
}
