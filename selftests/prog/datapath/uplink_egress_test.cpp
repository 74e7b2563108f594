// SPDX-License-Identifier: Apache-2.0
// The verdict table, leaving by an uplink.
#include <doctest/doctest.h>

#include "maps/own_pods.hpp"
#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

const Row kEncrypted[] = {
    {kLocalPod, kRemotePod, SHEATH_REASON_encrypted, kReadyNode},
};

const Row kUplinkWithheld[] = {
    {kLocalPod, kKeylessPod, SHEATH_REASON_no_key, kKeylessNode},
    {kLocalPod, kPeerlessPod, SHEATH_REASON_no_key, kPeerlessNode},
    {kLocalPod, kUnknownPod, SHEATH_REASON_unknown_node},
    {kRemotePod, kKeylessPod, SHEATH_REASON_bad_source, kKeylessNode},
    {kRemotePod, kRemotePod, SHEATH_REASON_bad_source, kReadyNode},
    {kUnknownPod, kRemotePod, SHEATH_REASON_bad_source, kReadyNode},
    {kRemotePod, kUnknownPod, SHEATH_REASON_bad_source},
};

const Row kUplinkPassed[] = {
    {kLocalPod, kOtherLocalPod, SHEATH_REASON_local},
    {kLocalPod, kLocalNode, SHEATH_REASON_local},
    {kWorld, kLocalPod, SHEATH_REASON_local},
    {kLocalPod, kWorld, SHEATH_REASON_world},
    {kLocalNode, kWorld, SHEATH_REASON_world},
    {kWorld, kOtherWorld, SHEATH_REASON_world},
    {kWorld, kRemoteNode, SHEATH_REASON_world, kReadyNode},
    {kWorld, kRemotePod, SHEATH_REASON_foreign, kReadyNode},
    {kWorld, kUnknownPod, SHEATH_REASON_foreign},
    {kRemoteNode, kRemotePod, SHEATH_REASON_foreign, kReadyNode},
    {kLocalNode, kRemotePod, SHEATH_REASON_node_plain, kReadyNode},
    {kLocalNode, kUnknownPod, SHEATH_REASON_node_plain},
    {kLocalNode, kRemoteNode, SHEATH_REASON_node_plain, kReadyNode},
    {kLocalPod, kRemoteNode, SHEATH_REASON_node_plain, kReadyNode},
};

}  // namespace

TEST_CASE("uplink egress: from a local pod to a ready peer's pod goes into the tunnel, with the peer's mark") {
  expect_rows(SHEATH_DIRECTION_uplink_egress, kEncrypted, [](const Row&, Mode) { return encrypts(); });
}

TEST_CASE(
    "uplink egress: what may not leave in plaintext is dropped for its reason, and only permissive lets it pass") {
  expect_rows(SHEATH_DIRECTION_uplink_egress, kUplinkWithheld,
              [](const Row& row, Mode mode) { return withheld(row.reason, mode, row.node_id); });
}

TEST_CASE("uplink egress: local, world, foreign and node traffic passes untouched in both modes") {
  expect_rows(SHEATH_DIRECTION_uplink_egress, kUplinkPassed,
              [](const Row& row, Mode) { return passes(row.reason, row.node_id); });
}

TEST_CASE("uplink egress: a sender by the constants is our pod's, with no look at the map, and no destination is") {
  sheath_config config = config_for(Mode::kStrict);
  maps::put_own_pods({Cidr::parse("192.0.2.0/24").value(), Cidr::parse("2001:db8:77::/48").value()}, config);
  Cluster cluster(config);
  const Party sender{"a pod by the constants", "192.0.2.9", "2001:db8:77::9"};
  for (const Family family : kFamilies) {
    const auto expect = [&](const Party& source, const Party& dest, const Expected& expected) {
      expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(between(source, dest, family)), expected,
                       at_uplink());
    };
    expect(sender, kRemotePod, encrypts());
    expect(kWorld, kRemotePod, passes(SHEATH_REASON_foreign, kReadyNode));
    expect(kLocalPod, sender, passes(SHEATH_REASON_world));
  }
}

TEST_CASE("uplink egress: a ready peer counts as not ready while there is no tunnel") {
  for (const Mode mode : kModes) {
    sheath_config fenced = config_for(mode);
    fenced.tunnel_ifindex = 0;
    Cluster cluster(fenced);
    for (const Family family : kFamilies)
      expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(between(kLocalPod, kRemotePod, family)),
                       withheld(SHEATH_REASON_no_key, mode, kReadyNode), at_uplink());
  }
}

TEST_CASE("uplink egress: a mark that the packet already has is replaced on its way to the tunnel") {
  for (const Family family : kFamilies)
    expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_uplink_egress,
                     build(between(kLocalPod, kRemotePod, family)), encrypts(), at_uplink(0x4000));
}

TEST_CASE("uplink egress: a packet that passes keeps the mark that others gave it") {
  Expected expected = passes(SHEATH_REASON_world);
  expected.mark = 0x4000;
  for (const Family family : kFamilies)
    expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_uplink_egress,
                     build(between(kLocalPod, kWorld, family)), expected, at_uplink(0x4000));
}

TEST_CASE("uplink egress: multicast, broadcast and link-local destinations pass, whoever sends") {
  for (const char* dest :
       {"224.0.0.251", "239.1.2.3", "255.255.255.255", "169.254.169.254", "ff02::1", "ff0e::7", "fe80::1", "febf::1"}) {
    CAPTURE(dest);
    PacketSpec spec;
    spec.dest = dest;
    spec.source = kLocalPod.address(spec.dest.find(':') == std::string::npos ? Family::kIpv4 : Family::kIpv6);
    for (const Mode mode : kModes)
      expect_unchanged(shared_cluster(mode), SHEATH_DIRECTION_uplink_egress, build(spec),
                       passes(SHEATH_REASON_link_scope), at_uplink());
  }
}

TEST_CASE("uplink egress: neighbour discovery of the node passes, of a pod it is a pod's packet") {
  for (int type = 132; type <= 138; ++type) {
    CAPTURE(type);
    PacketSpec spec = between(kLocalNode, kRemotePod, Family::kIpv6);
    spec.protocol = kIcmpv6;
    spec.icmp_type = static_cast<std::uint8_t>(type);
    spec.hop_limit = 255;
    const bool discovery = type >= 133 && type <= 137;
    auto& cluster = shared_cluster(Mode::kStrict);
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(spec),
                     discovery ? passes(SHEATH_REASON_link_scope) : passes(SHEATH_REASON_node_plain, kReadyNode),
                     at_uplink());
    spec.source = kLocalPod.ipv6;
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(spec), encrypts(), at_uplink());
    spec.source = kLocalNode.ipv6;
    spec.hop_limit = 254;
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(spec), passes(SHEATH_REASON_node_plain, kReadyNode),
                     at_uplink());
  }
}

TEST_CASE("uplink egress: ARP and other protocols that are not IP pass") {
  Bytes arp = build(between(kLocalPod, kRemotePod, Family::kIpv4));
  for (const int ethertype : {0x0806, 0x88cc, 0x888e, 0x0026}) {
    CAPTURE(ethertype);
    write16(arp, 12, static_cast<std::uint16_t>(ethertype));
    for (const Mode mode : kModes)
      expect_unchanged(shared_cluster(mode), SHEATH_DIRECTION_uplink_egress, arp, passes(SHEATH_REASON_not_ip),
                       at_uplink());
  }
}

TEST_CASE("uplink egress: the report names addresses, ports and protocol") {
  PacketSpec spec = between(kLocalPod, kKeylessPod, Family::kIpv4);
  spec.protocol = kTcp;
  const Outcome outcome = shared_cluster(Mode::kStrict).run(SHEATH_DIRECTION_uplink_egress, build(spec), at_uplink());
  REQUIRE(outcome.events.size() == 1);
  const sheath_event& event = outcome.events[0];
  CHECK(event.family == 4);
  CHECK(event.protocol == kTcp);
  CHECK(event.source_port == spec.source_port);
  CHECK(event.dest_port == spec.dest_port);
  CHECK(event.ifindex == devices().uplink.ifindex);
  CHECK(Bytes(event.source.addr, event.source.addr + 16) ==
        Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 244, 1, 7});
  CHECK(Bytes(event.dest.addr, event.dest.addr + 16) == Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 244, 3, 9});
}
