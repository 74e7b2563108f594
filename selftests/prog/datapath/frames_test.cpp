// SPDX-License-Identifier: Apache-2.0
// Packets that are not plain: tagged, truncated, fragmented, with options and extension headers.
#include <doctest/doctest.h>

#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

void expect_strict(const Bytes& packet, const Expected& expected) {
  expect_unchanged(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_uplink_egress, packet, expected, at_uplink());
}

void expect_unparsable(const Bytes& packet) {
  for (const Mode mode : kModes)
    for (const sheath_direction direction : {SHEATH_DIRECTION_uplink_egress, SHEATH_DIRECTION_uplink_ingress})
      expect_unchanged(shared_cluster(mode), direction, packet, withheld(SHEATH_REASON_unparsable, mode), at_uplink());
}

// To the ready peer, to one without a key, and to nobody: that the addresses were found shows in all three.
void expect_classified(PacketSpec spec, Family family) {
  spec.source = kLocalPod.address(family);
  spec.dest = kRemotePod.address(family);
  expect_strict(build(spec), encrypts());
  spec.dest = kKeylessPod.address(family);
  expect_strict(build(spec), drops(SHEATH_REASON_no_key, kKeylessNode));
  spec.dest = kUnknownPod.address(family);
  expect_strict(build(spec), drops(SHEATH_REASON_unknown_node));
  spec.dest = kWorld.address(family);
  expect_strict(build(spec), passes(SHEATH_REASON_world));
}

}  // namespace

TEST_CASE("frames: one or two VLAN tags inside the frame are taken off on the way into the tunnel") {
  for (const Family family : kFamilies)
    for (const std::vector<std::uint16_t>& tags : {std::vector<std::uint16_t>{100}, {100, 200}}) {
      PacketSpec spec = between(kLocalPod, kRemotePod, family);
      const Bytes untagged = build(spec);
      spec.vlans = tags;
      CHECK(expect_outcome(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_uplink_egress, build(spec), encrypts(),
                           at_uplink())
                .bytes == untagged);
    }
}

TEST_CASE("frames: tagged packets are judged by their addresses, and keep their tags where they pass") {
  for (const Family family : kFamilies)
    for (const std::vector<std::uint16_t>& tags : {std::vector<std::uint16_t>{100}, {100, 200}}) {
      PacketSpec spec = between(kLocalPod, kKeylessPod, family);
      spec.vlans = tags;
      expect_strict(build(spec), drops(SHEATH_REASON_no_key, kKeylessNode));
      spec.dest = kWorld.address(family);
      expect_strict(build(spec), passes(SHEATH_REASON_world));
    }
}

TEST_CASE("frames: more than two VLAN tags cannot be parsed") {
  for (const Family family : kFamilies) {
    PacketSpec spec = between(kLocalPod, kRemotePod, family);
    spec.vlans = {1, 2, 3};
    expect_unparsable(build(spec));
  }
}

TEST_CASE("frames: a packet cut short anywhere in its headers cannot be parsed") {
  for (const Family family : kFamilies) {
    PacketSpec spec = between(kLocalPod, kRemotePod, family);
    spec.payload = 0;
    const Bytes whole = build(spec);
    const std::size_t ip_header = family == Family::kIpv4 ? 20 : 40;
    for (std::size_t size = 14 + ip_header; size < whole.size(); ++size) {
      CAPTURE(size);
      expect_unparsable(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    }
  }
}

// BPF_PROG_TEST_RUN takes no frame that ends inside its IP header, unless a tag hides that it is one.
TEST_CASE("frames: a tagged packet cut short in a tag or in its headers cannot be parsed") {
  for (const Family family : kFamilies) {
    PacketSpec spec = between(kLocalPod, kRemotePod, family);
    spec.payload = 0;
    spec.vlans = {1, 2};
    const Bytes whole = build(spec);
    for (std::size_t size = 15; size < whole.size(); ++size) {
      CAPTURE(size);
      expect_unparsable(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    }
  }
}

TEST_CASE("frames: lengths and versions that contradict each other cannot be parsed") {
  const Bytes ipv4 = build(between(kLocalPod, kRemotePod, Family::kIpv4));
  const Bytes ipv6 = build(between(kLocalPod, kRemotePod, Family::kIpv6));
  Bytes bad = ipv4;
  bad[14] = 0x65;  // version 6 behind the ethertype of IPv4
  expect_unparsable(bad);
  bad = ipv4;
  bad[14] = 0x44;  // a header of 16 bytes
  expect_unparsable(bad);
  bad = ipv4;
  bad[14] = 0x4f;  // a header longer than the packet
  write16(bad, 16, 59);
  expect_unparsable(bad);
  PacketSpec portless = between(kLocalPod, kRemotePod, Family::kIpv4);
  portless.protocol = kEsp;
  bad = build(portless);
  bad[14] = 0x4f;  // nor may it be where nobody looks for ports
  write16(bad, 16, 59);
  expect_unparsable(bad);
  for (const std::uint16_t total : {std::uint16_t{0}, std::uint16_t{19}, std::uint16_t{23}}) {
    bad = ipv4;
    write16(bad, 16, total);
    expect_unparsable(bad);
  }
  bad = ipv4;
  write16(bad, 16, static_cast<std::uint16_t>(ipv4.size() - 13));
  expect_unparsable(bad);
  bad = ipv6;
  bad[14] = 0x45;
  expect_unparsable(bad);
  bad = ipv6;
  write16(bad, 18, static_cast<std::uint16_t>(ipv6.size() - 53));
  expect_unparsable(bad);
}

TEST_CASE("frames: bytes behind the IP packet are the link's padding") {
  for (const Family family : kFamilies) {
    Bytes padded = build(between(kLocalPod, kRemotePod, family));
    padded.resize(padded.size() + 6);
    expect_strict(padded, encrypts());
  }
}

TEST_CASE("frames: fragments are judged by their addresses, first and later") {
  for (const Family family : kFamilies)
    for (const std::uint8_t protocol : {kUdp, kTcp, family == Family::kIpv4 ? kIcmp : kIcmpv6})
      for (const Fragment fragment : {Fragment{0, true}, Fragment{1, true}, Fragment{185, false}}) {
        PacketSpec spec;
        spec.protocol = protocol;
        spec.fragment = fragment;
        spec.payload = fragment.offset ? 8 : 32;
        spec.icmp_type = family == Family::kIpv4 ? 8 : 128;
        expect_classified(spec, family);
      }
}

TEST_CASE("frames: the report of a later fragment has no ports, that of the first one has") {
  for (const Family family : kFamilies) {
    PacketSpec spec = between(kLocalPod, kKeylessPod, family);
    for (const std::uint16_t offset : {std::uint16_t{0}, std::uint16_t{1}}) {
      spec.fragment = Fragment{offset, true};
      const Outcome outcome =
          shared_cluster(Mode::kStrict).run(SHEATH_DIRECTION_uplink_egress, build(spec), at_uplink());
      REQUIRE(outcome.events.size() == 1);
      CHECK(outcome.events[0].protocol == kUdp);
      CHECK(outcome.events[0].source_port == (offset ? 0 : spec.source_port));
      CHECK(outcome.events[0].dest_port == (offset ? 0 : spec.dest_port));
    }
  }
}

TEST_CASE("frames: IPv4 options of every length are stepped over") {
  for (std::size_t options = 4; options <= 40; options += 4) {
    CAPTURE(options);
    PacketSpec spec;
    spec.options = options;
    expect_classified(spec, Family::kIpv4);
    spec = between(kLocalPod, kKeylessPod, Family::kIpv4);
    spec.options = options;
    const Outcome outcome = shared_cluster(Mode::kStrict).run(SHEATH_DIRECTION_uplink_egress, build(spec), at_uplink());
    REQUIRE(outcome.events.size() == 1);
    CHECK(outcome.events[0].dest_port == spec.dest_port);
  }
}

TEST_CASE("frames: up to eight IPv6 extension headers are walked, in any order") {
  const std::vector<std::uint8_t> kAll = {kHopByHop,    kDestination, kRouting,     kAuthentication,
                                          kDestination, kMobility,    kDestination, kDestination};
  for (std::size_t count = 1; count <= kAll.size(); ++count) {
    CAPTURE(count);
    PacketSpec spec;
    spec.extensions.assign(kAll.begin(), kAll.begin() + static_cast<std::ptrdiff_t>(count));
    expect_classified(spec, Family::kIpv6);
    spec.source = kLocalPod.ipv6;
    spec.dest = kKeylessPod.ipv6;
    const Outcome outcome = shared_cluster(Mode::kStrict).run(SHEATH_DIRECTION_uplink_egress, build(spec), at_uplink());
    REQUIRE(outcome.events.size() == 1);
    CHECK(outcome.events[0].protocol == kUdp);
    CHECK(outcome.events[0].dest_port == spec.dest_port);
  }
}

TEST_CASE("frames: nine IPv6 extension headers cannot be parsed") {
  PacketSpec spec = between(kLocalPod, kRemotePod, Family::kIpv6);
  spec.extensions.assign(9, kDestination);
  expect_unparsable(build(spec));
}

TEST_CASE("frames: an IPv6 extension header that runs out of the packet cannot be parsed") {
  PacketSpec spec = between(kLocalPod, kRemotePod, Family::kIpv6);
  spec.extensions = {kHopByHop, kDestination};
  Bytes packet = build(spec);
  packet[14 + 40 + 8 + 1] = 30;
  expect_unparsable(packet);
}

TEST_CASE("frames: a neighbour discovery message hides in no fragment and behind no extension header") {
  PacketSpec spec = between(kLocalPod, kKeylessPod, Family::kIpv6);
  spec.protocol = kIcmpv6;
  spec.icmp_type = 135;
  spec.hop_limit = 255;
  spec.extensions = {kDestination};
  expect_strict(build(spec), drops(SHEATH_REASON_no_key, kKeylessNode));
  spec.extensions.clear();
  spec.fragment = Fragment{1, false};
  expect_strict(build(spec), drops(SHEATH_REASON_no_key, kKeylessNode));
}
