// SPDX-License-Identifier: Apache-2.0
// Which packets are our own outer ones, and which only look like them.
#include <doctest/doctest.h>

#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

constexpr std::uint32_t kWireguardMark = 0xe00;

PacketSpec wireguard(const Party& source, const Party& dest, Family family) {
  PacketSpec spec = between(source, dest, family);
  spec.source_port = spec.dest_port = kWireguardPort;
  return spec;
}

void expect_own(const PacketSpec& spec, std::uint32_t mark) {
  Expected expected = passes(SHEATH_REASON_own_outer);
  expected.mark = mark;
  for (const Mode mode : kModes)
    expect_unchanged(shared_cluster(mode), SHEATH_DIRECTION_uplink_egress, build(spec), expected, at_uplink(mark));
}

void expect_in_strict(const PacketSpec& spec, std::uint32_t mark, Expected expected) {
  if (expected.out_ifindex == 0) expected.mark = mark;
  expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_uplink_egress, build(spec), expected,
                   at_uplink(mark));
}

}  // namespace

TEST_CASE("own outer: WireGuard from this node to a peer passes by fwmark and ports") {
  for (const Family family : kFamilies) expect_own(wireguard(kLocalNode, kRemoteNode, family), kWireguardMark);
}

TEST_CASE("own outer: later fragments of WireGuard pass by fwmark alone") {
  for (const Family family : kFamilies) {
    PacketSpec spec = wireguard(kLocalNode, kRemoteNode, family);
    for (const Fragment fragment : {Fragment{0, true}, Fragment{180, true}, Fragment{180, false}}) {
      spec.fragment = fragment;
      expect_own(spec, kWireguardMark);
    }
  }
}

TEST_CASE("own outer: ESP from this node to a peer passes without a mark") {
  for (const Family family : kFamilies) {
    PacketSpec spec = between(kLocalNode, kRemoteNode, family);
    spec.protocol = kEsp;
    expect_own(spec, 0);
  }
}

TEST_CASE("own outer: one of mark, source port and destination port alone is not WireGuard") {
  for (const Family family : kFamilies) {
    PacketSpec spec = wireguard(kLocalNode, kRemoteNode, family);
    const Expected node = passes(SHEATH_REASON_node_plain, kReadyNode);
    for (const std::uint32_t mark : {0u, 0x20e00u, 0xe01u, 0xd00u}) expect_in_strict(spec, mark, node);
    spec.dest_port = 53;
    expect_in_strict(spec, kWireguardMark, node);
    std::swap(spec.source_port, spec.dest_port);
    expect_in_strict(spec, kWireguardMark, node);
    spec.source_port = spec.dest_port = kWireguardPort;
    spec.protocol = kTcp;
    expect_in_strict(spec, kWireguardMark, node);
  }
}

TEST_CASE("own outer: a pod that crafts WireGuard or ESP is a pod all the same") {
  for (const Family family : kFamilies)
    for (const std::uint8_t protocol : {kUdp, kEsp})
      for (const std::uint32_t mark : {0u, kWireguardMark}) {
        PacketSpec spec = wireguard(kLocalPod, kRemotePod, family);
        spec.protocol = protocol;
        expect_in_strict(spec, mark, encrypts());
        spec.dest = kKeylessPod.address(family);
        expect_in_strict(spec, mark, drops(SHEATH_REASON_no_key, kKeylessNode));
        spec.dest = kUnknownPod.address(family);
        expect_in_strict(spec, mark, drops(SHEATH_REASON_unknown_node));
        spec.dest = kRemoteNode.address(family);
        expect_in_strict(spec, mark, passes(SHEATH_REASON_node_plain, kReadyNode));
      }
}

TEST_CASE("own outer: from this node, but not to a peer's address, is ordinary traffic") {
  for (const Family family : kFamilies) {
    expect_in_strict(wireguard(kLocalNode, kWorld, family), kWireguardMark, passes(SHEATH_REASON_world));
    expect_in_strict(wireguard(kLocalNode, kRemotePod, family), kWireguardMark,
                     passes(SHEATH_REASON_node_plain, kReadyNode));
  }
}
