// SPDX-License-Identifier: Apache-2.0
// Leaving a pod, on the fast path: the clear case goes into the tunnel, all else is the stack's.
#include <doctest/doctest.h>

#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

Context at_pod() {
  return {.ifindex = devices().pod.ifindex};
}

void expect_to_stack(const PacketSpec& spec) {
  for (const Mode mode : kModes)
    expect_unchanged(shared_cluster(mode), SHEATH_DIRECTION_pod_egress, build(spec), passes(SHEATH_REASON_to_stack),
                     at_pod());
}

}  // namespace

TEST_CASE("pod egress: from our pod to a ready peer's pod goes into the tunnel, with the peer's mark") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies)
      expect_unchanged(shared_cluster(mode), SHEATH_DIRECTION_pod_egress, build(between(kLocalPod, kRemotePod, family)),
                       encrypts(), at_pod());
}

TEST_CASE("pod egress: fragments go into the tunnel, first and later") {
  for (const Family family : kFamilies)
    for (const Fragment fragment : {Fragment{0, true}, Fragment{4, true}, Fragment{8, false}}) {
      PacketSpec spec = between(kLocalPod, kRemotePod, family);
      spec.fragment = fragment;
      expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_pod_egress, build(spec), encrypts(), at_pod());
    }
}

TEST_CASE("pod egress: to anyone but a ready peer's pod goes to the stack") {
  for (const Family family : kFamilies)
    for (const Party* dest : {&kKeylessPod, &kPeerlessPod, &kUnknownPod, &kOtherLocalPod, &kWorld, &kRemoteNode}) {
      CAPTURE(dest->name);
      expect_to_stack(between(kLocalPod, *dest, family));
    }
}

TEST_CASE("pod egress: from an address that is not the pod's goes to the stack") {
  for (const Family family : kFamilies) {
    expect_to_stack(between(kOtherLocalPod, kRemotePod, family));
    expect_to_stack(between(kRemotePod, kRemotePod, family));
    // Where the constants do not say whose device it is, the map does.
    expect_unchanged(shared_cluster(Mode::kPermissive), SHEATH_DIRECTION_pod_egress,
                     build(between(kLocalPod, kRemotePod, family)), passes(SHEATH_REASON_to_stack),
                     {.ifindex = devices().uplink.ifindex});
  }
}

TEST_CASE("pod egress: larger than the tunnel goes to the stack, with DF or without") {
  for (const Family family : kFamilies)
    for (const bool dont_fragment : {false, true}) {
      PacketSpec spec = between(kLocalPod, kRemotePod, family);
      spec.dont_fragment = dont_fragment;
      const std::size_t headers = family == Family::kIpv4 ? 28 : 48;
      spec.payload = kTunnelMtu - headers;
      expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_pod_egress, build(spec), encrypts(), at_pod());
      ++spec.payload;
      expect_to_stack(spec);
    }
}

TEST_CASE("pod egress: tagged, truncated and other than IP goes to the stack") {
  for (const Family family : kFamilies) {
    PacketSpec tagged = between(kLocalPod, kRemotePod, family);
    tagged.vlans = {100};
    expect_to_stack(tagged);
    Bytes cut = build(between(kLocalPod, kRemotePod, family));
    cut.resize(cut.size() - 33);  // into the UDP header
    Bytes arp = build(between(kLocalPod, kRemotePod, family));
    write16(arp, 12, 0x0806);
    for (const Bytes& packet : {cut, arp})
      expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_pod_egress, packet,
                       passes(SHEATH_REASON_to_stack), at_pod());
  }
}

TEST_CASE("pod egress: there is nothing to redirect into while there is no tunnel") {
  sheath_config config = config_for(Mode::kStrict);
  config.tunnel_ifindex = 0;
  Cluster cluster(config);
  for (const Family family : kFamilies)
    expect_unchanged(cluster, SHEATH_DIRECTION_pod_egress, build(between(kLocalPod, kRemotePod, family)),
                     passes(SHEATH_REASON_to_stack), at_pod());
}
