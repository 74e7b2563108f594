// SPDX-License-Identifier: Apache-2.0
// The verdict table's rows about nodes, at each level of a peer's node traffic.
#include <doctest/doctest.h>

#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

constexpr Party kKeyless{"node that is not ready", "172.18.0.5", "fd00:18::5"};

struct Sent {
  const Party& source;
  const Party& dest;
  bool ready;
};

// Of these at least one end is a node, and the other one's node is a peer.
const Sent kLeaving[] = {
    {kLocalNode, kRemoteNode, true}, {kLocalPod, kRemoteNode, true}, {kLocalNode, kRemotePod, true},
    {kLocalNode, kKeyless, false},   {kLocalPod, kKeyless, false},   {kLocalNode, kKeylessPod, false},
};

const Sent kArriving[] = {
    {kRemoteNode, kLocalNode, true}, {kRemotePod, kLocalNode, true},   {kRemoteNode, kLocalPod, true},
    {kKeyless, kLocalNode, false},   {kKeylessPod, kLocalNode, false}, {kKeyless, kLocalPod, false},
};

std::uint16_t node_of(const Sent& sent) {
  return sent.ready ? kReadyNode : kKeylessNode;
}

template <typename Rows, typename Check>
void for_each_case(const Rows& rows, Check check) {
  for (const Sent& sent : rows)
    for (const Mode mode : kModes)
      for (const Family family : kFamilies) {
        INFO(sent.source.name << " to " << sent.dest.name << ", " << name_of(mode) << ", IPv"
                              << static_cast<int>(family));
        check(sent, mode, build(between(sent.source, sent.dest, family)));
      }
}

}  // namespace

TEST_CASE("node traffic, encrypted: what a node sends or gets goes into the tunnel, or nowhere without a key") {
  for (const auto level : {SHEATH_NODE_TRAFFIC_encrypted, SHEATH_NODE_TRAFFIC_required}) {
    for_each_case(kLeaving, [&](const Sent& sent, Mode mode, const Bytes& packet) {
      expect_unchanged(shared_node_cluster(mode, level), SHEATH_DIRECTION_uplink_egress, packet,
                       sent.ready ? encrypts() : withheld(SHEATH_REASON_no_key, mode, kKeylessNode), at_uplink());
    });
  }
}

TEST_CASE("node traffic, encrypted: plaintext from the peer is still taken") {
  for_each_case(kArriving, [&](const Sent& sent, Mode mode, const Bytes& packet) {
    expect_unchanged(shared_node_cluster(mode, SHEATH_NODE_TRAFFIC_encrypted), SHEATH_DIRECTION_uplink_ingress, packet,
                     passes(SHEATH_REASON_node_plain, node_of(sent)), at_uplink());
  });
}

TEST_CASE("node traffic, required: plaintext from the peer is refused, and only permissive lets it pass") {
  for_each_case(kArriving, [&](const Sent& sent, Mode mode, const Bytes& packet) {
    expect_unchanged(shared_node_cluster(mode, SHEATH_NODE_TRAFFIC_required), SHEATH_DIRECTION_uplink_ingress, packet,
                     withheld(SHEATH_REASON_plaintext_ingress, mode, node_of(sent)), at_uplink());
  });
}

TEST_CASE("node traffic, required: what has no peer at one end is as it was") {
  auto& cluster = shared_node_cluster(Mode::kStrict, SHEATH_NODE_TRAFFIC_required);
  for (const Family family : kFamilies) {
    const auto leaves = [&](const Party& source, const Party& dest, const Expected& expected) {
      expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(between(source, dest, family)), expected,
                       at_uplink());
    };
    leaves(kLocalNode, kWorld, passes(SHEATH_REASON_world));
    leaves(kWorld, kRemoteNode, passes(SHEATH_REASON_world, kReadyNode));
    leaves(kLocalNode, kUnknownPod, passes(SHEATH_REASON_node_plain));
    leaves(kLocalPod, kLocalNode, passes(SHEATH_REASON_local));
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_ingress, build(between(kWorld, kLocalNode, family)),
                     passes(SHEATH_REASON_local), at_uplink());
  }
}

TEST_CASE("node traffic, required: outer packets and neighbour discovery stay outside of the tunnel") {
  auto& cluster = shared_node_cluster(Mode::kStrict, SHEATH_NODE_TRAFFIC_required);
  for (const Family family : kFamilies) {
    PacketSpec outer = between(kLocalNode, kRemoteNode, family);
    outer.protocol = kUdp;
    outer.source_port = outer.dest_port = kWireguardPort;
    Expected own = passes(SHEATH_REASON_own_outer);
    own.mark = kOuterMark;
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(outer), own, at_uplink(kOuterMark));
    // The same without the engine's mark is anybody's.
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(outer), encrypts(), at_uplink());
    PacketSpec arriving = between(kRemoteNode, kLocalNode, family);
    arriving.protocol = kUdp;
    arriving.source_port = arriving.dest_port = kWireguardPort;
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_ingress, build(arriving), passes(SHEATH_REASON_own_outer),
                     at_uplink());
  }
  PacketSpec discovery = between(kLocalNode, kRemoteNode, Family::kIpv6);
  discovery.protocol = kIcmpv6;
  discovery.icmp_type = 135;
  discovery.hop_limit = 255;
  expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(discovery), passes(SHEATH_REASON_link_scope),
                   at_uplink());
}

TEST_CASE("node traffic, required: VXLAN of our overlay is taken, since what it brings is judged there") {
  sheath_config config = ipsec_config_for(Mode::kStrict);
  Cluster cluster(config);
  cluster.set_node_traffic(SHEATH_NODE_TRAFFIC_required);
  for (const Family family : kFamilies) {
    PacketSpec spec = between(kRemoteNode, kLocalNode, family);
    spec.protocol = kUdp;
    spec.dest_port = kVxlanPort;
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_ingress, build(spec),
                     passes(SHEATH_REASON_node_plain, kReadyNode), at_uplink());
    // From a pod's address it is a pod's packet.
    spec.source = kRemotePod.address(family);
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_ingress, build(spec),
                     drops(SHEATH_REASON_plaintext_ingress, kReadyNode), at_uplink());
  }
}

TEST_CASE(
    "node traffic that came in by a device is somebody's whom this node masquerades: named where it is plaintext") {
  Context forwarded = at_uplink();
  forwarded.ingress_ifindex = devices().pod.ifindex;
  for (const Family family : kFamilies) {
    for (const Party* dest : {&kRemotePod, &kRemoteNode}) {
      const Bytes packet = build(between(kLocalNode, *dest, family));
      expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_uplink_egress, packet,
                       passes(SHEATH_REASON_masqueraded, kReadyNode), forwarded);
      expect_unchanged(shared_node_cluster(Mode::kStrict, SHEATH_NODE_TRAFFIC_encrypted),
                       SHEATH_DIRECTION_uplink_egress, packet, encrypts(), forwarded);
    }
    expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_uplink_egress,
                     build(between(kLocalPod, kRemoteNode, family)), passes(SHEATH_REASON_node_plain, kReadyNode),
                     forwarded);
  }
}

TEST_CASE("node traffic of a node without an entry is in plaintext: nobody said otherwise") {
  auto& cluster = shared_node_cluster(Mode::kStrict, SHEATH_NODE_TRAFFIC_required);
  for (const Family family : kFamilies)
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(between(kLocalNode, kPeerlessPod, family)),
                     passes(SHEATH_REASON_node_plain, kPeerlessNode), at_uplink());
}
