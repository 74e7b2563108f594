// SPDX-License-Identifier: Apache-2.0
// Coming out of the tunnel device. BPF_PROG_TEST_RUN's packets are bytes from offset 0: with l2_len 0 the first is the
// IP header's, as on WireGuard's device.
#include <doctest/doctest.h>

#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

sheath_config wireguard_config(Mode mode = Mode::kStrict) {
  sheath_config config = config_for(mode);
  config.l2_len = 0;
  return config;
}

Context at_tunnel(std::uint32_t mark = 0) {
  return {.ifindex = devices().tunnel.ifindex, .mark = mark};
}

Bytes inner(const Party& source, const Party& dest, Family family) {
  PacketSpec spec = between(source, dest, family);
  spec.ethernet = false;
  return build(spec);
}

Bytes with_header(const std::uint8_t (&dest)[6], const std::uint8_t (&source)[6], const Bytes& packet) {
  Bytes frame;
  for (const std::uint8_t byte : dest) frame.push_back(byte);
  for (const std::uint8_t byte : source) frame.push_back(byte);
  frame.push_back(packet[0] >> 4 == 4 ? 0x08 : 0x86);
  frame.push_back(packet[0] >> 4 == 4 ? 0x00 : 0xdd);
  frame.insert(frame.end(), packet.begin(), packet.end());
  return frame;
}

Expected delivers() {
  return {.reason = SHEATH_REASON_delivered,
          .strict_reason = SHEATH_REASON_delivered,
          .action = kActRedirect,
          .out_ifindex = devices().pod.ifindex,
          .node_id = kReadyNode};
}

}  // namespace

TEST_CASE("tunnel ingress: from a remote pod goes to the stack as it is") {
  for (const Mode mode : kModes) {
    Cluster cluster(wireguard_config(mode));
    for (const Family family : kFamilies)
      for (const Party* dest : {&kLocalPod, &kOtherLocalPod, &kLocalNode, &kWorld})
        expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, inner(kRemotePod, *dest, family),
                         passes(SHEATH_REASON_decrypted, kReadyNode), at_tunnel());
  }
}

TEST_CASE("tunnel ingress: from anyone who is no remote pod is dropped, permissive or not") {
  for (const Mode mode : kModes) {
    Cluster cluster(wireguard_config(mode));
    for (const Family family : kFamilies)
      for (const Party* source : {&kLocalPod, &kUnknownPod, &kWorld, &kLocalNode}) {
        CAPTURE(source->name);
        expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, inner(*source, kLocalPod, family),
                         drops(SHEATH_REASON_bad_source), at_tunnel());
      }
  }
}

TEST_CASE(
    "tunnel ingress: a remote node may send, whether this node encrypts its own traffic or not; this node may not") {
  Cluster cluster(wireguard_config());
  for (const Family family : kFamilies) {
    expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, inner(kRemoteNode, kLocalPod, family),
                     passes(SHEATH_REASON_decrypted, kReadyNode), at_tunnel());
    expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, inner(kLocalNode, kLocalPod, family),
                     drops(SHEATH_REASON_bad_source), at_tunnel());
  }
}

TEST_CASE("tunnel ingress: a peer may not send from another peer's pods, and the peer's mark ends here") {
  Cluster cluster(wireguard_config());
  for (const Family family : kFamilies) {
    expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, inner(kRemotePod, kLocalPod, family),
                     passes(SHEATH_REASON_decrypted, kReadyNode), at_tunnel(0x23d00));
    Expected expected = drops(SHEATH_REASON_bad_source, kKeylessNode);
    expected.mark = 0x33d00;
    expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, inner(kRemotePod, kLocalPod, family), expected,
                     at_tunnel(0x33d00));
  }
}

TEST_CASE("tunnel ingress: what cannot be parsed, or is no IP, is dropped, permissive or not") {
  for (const Mode mode : kModes) {
    Cluster cluster(wireguard_config(mode));
    for (const Family family : kFamilies) {
      Bytes cut = inner(kRemotePod, kLocalPod, family);
      cut.resize(19);
      expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, cut, drops(SHEATH_REASON_unparsable), at_tunnel());
      Bytes odd = inner(kRemotePod, kLocalPod, family);
      odd[0] = 0x55;
      expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, odd, drops(SHEATH_REASON_unparsable), at_tunnel());
    }
  }
}

TEST_CASE(
    "tunnel ingress: via an uplink, that of its source, a packet gets a header and the mark that uplink ingress "
    "trusts") {
  sheath_config config = wireguard_config();
  config.via_uplink = 1;
  Cluster cluster(config);
  constexpr std::uint8_t kNobody[6] = {};
  Expected expected = passes(SHEATH_REASON_decrypted, kReadyNode);
  expected.action = kActRedirect;
  expected.mark = 0x20d00;
  for (const Family family : kFamilies) {
    for (const auto& [from, arrives_at] : {std::pair{kRemotePod, devices().pod.ifindex},
                                           {kRemoteRouter, devices().pod.ifindex},
                                           {kRemoteNode, devices().uplink.ifindex}}) {
      expected.out_ifindex = arrives_at;
      const Bytes packet = inner(from, kLocalPod, family);
      CHECK(expect_outcome(cluster, SHEATH_DIRECTION_tunnel_ingress, packet, expected, at_tunnel()).bytes ==
            with_header(kNobody, kNobody, packet));
    }
  }
}

TEST_CASE(
    "tunnel ingress: the fast path hands a packet to the pod, with the pod's MAC address and the hop limit kept") {
  sheath_config config = wireguard_config();
  config.fast_path = 1;
  config.via_uplink = 1;
  Cluster cluster(config);
  for (const Family family : kFamilies) {
    const Bytes packet = inner(kRemotePod, kLocalPod, family);
    CHECK(expect_outcome(cluster, SHEATH_DIRECTION_tunnel_ingress, packet, delivers(), at_tunnel()).bytes ==
          with_header(kPodMac, kHostMac, packet));
  }
}

TEST_CASE("tunnel ingress: the fast path overwrites the Ethernet header that an xfrm interface shows") {
  sheath_config config = config_for(Mode::kStrict);
  config.fast_path = 1;
  Cluster cluster(config);
  for (const Family family : kFamilies) {
    const Bytes packet = build(between(kRemotePod, kLocalPod, family));
    const Bytes inner_packet(packet.begin() + 14, packet.end());
    CHECK(expect_outcome(cluster, SHEATH_DIRECTION_tunnel_ingress, packet, delivers(), at_tunnel()).bytes ==
          with_header(kPodMac, kHostMac, inner_packet));
  }
}

TEST_CASE("tunnel ingress: the fast path leaves to the stack what is for no pod that it knows") {
  sheath_config config = wireguard_config();
  config.fast_path = 1;
  Cluster cluster(config);
  for (const Family family : kFamilies)
    for (const Party* dest : {&kOtherLocalPod, &kLocalNode})
      expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, inner(kRemotePod, *dest, family),
                       passes(SHEATH_REASON_decrypted, kReadyNode), at_tunnel());
}

TEST_CASE("tunnel ingress: the report of a delivered packet has its ports, whatever became of its bytes") {
  sheath_config config = wireguard_config();
  config.fast_path = 1;
  Cluster cluster(config);
  for (const Family family : kFamilies) {
    const Outcome outcome =
        cluster.run(SHEATH_DIRECTION_tunnel_ingress, inner(kRemotePod, kLocalPod, family), at_tunnel());
    REQUIRE(outcome.events.size() == 1);
    CHECK(outcome.events[0].source_port == 40000);
    CHECK(outcome.events[0].dest_port == 8080);
  }
}
