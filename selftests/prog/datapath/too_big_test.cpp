// SPDX-License-Identifier: Apache-2.0
// Larger than the tunnel: the ICMP answer, to the byte, and who gets none.
#include <doctest/doctest.h>

#include <algorithm>
#include <span>

#include "selftests/harness/checksum.hpp"
#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

constexpr std::size_t kQuote = 512;

std::size_t ip_header(Family family) {
  return family == Family::kIpv4 ? 20 : 40;
}

// A packet whose IP length is `length`.
PacketSpec sized(Family family, std::size_t length, std::uint8_t protocol = kUdp) {
  PacketSpec spec = between(kLocalPod, kRemotePod, family);
  spec.protocol = protocol;
  spec.dont_fragment = true;
  spec.payload = length - ip_header(family) - (protocol == kTcp ? 20 : 8);
  return spec;
}

Expected answers() {
  return {.reason = SHEATH_REASON_too_big,
          .strict_reason = SHEATH_REASON_too_big,
          .action = kActRedirect,
          .mark = 0xc00,
          .out_ifindex = devices().uplink.ifindex,
          .node_id = kReadyNode};
}

Bytes slice(const Bytes& bytes, std::size_t offset, std::size_t size) {
  REQUIRE(bytes.size() >= offset + size);
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(offset);
  return Bytes(begin, begin + static_cast<std::ptrdiff_t>(size));
}

void expect_macs_swapped(const Bytes& answer, const Bytes& packet) {
  CHECK(slice(answer, 0, 6) == slice(packet, 6, 6));
  CHECK(slice(answer, 6, 6) == slice(packet, 0, 6));
  CHECK(read16(answer, 12) == read16(packet, 12));
}

void expect_header4(const Bytes& answer, const Bytes& packet, std::size_t quote, unsigned mtu) {
  const Bytes ip = slice(answer, 14, 20);
  CHECK(ip[0] == 0x45);
  CHECK(ip[1] == 0xc0);
  CHECK(read16(ip, 2) == 28 + quote);
  CHECK(read16(ip, 6) == 0x4000);
  CHECK(ip[8] == 64);
  CHECK(ip[9] == kIcmp);
  CHECK(ones_sum(ip) == 0xffff);
  CHECK(slice(ip, 12, 4) == slice(packet, 14 + 16, 4));
  CHECK(slice(ip, 16, 4) == slice(packet, 14 + 12, 4));
  const Bytes icmp = slice(answer, 34, 8 + quote);
  CHECK(read16(icmp, 0) == 0x0304);
  CHECK(read16(icmp, 4) == 0);
  CHECK(read16(icmp, 6) == mtu);
  CHECK(ones_sum(icmp) == 0xffff);
  CHECK(answer.size() == 42 + quote);
}

void expect_header6(const Bytes& answer, const Bytes& packet, std::size_t quote, unsigned mtu) {
  const Bytes ip = slice(answer, 14, 40);
  CHECK(read32(ip, 0) == 0x60000000);
  CHECK(read16(ip, 4) == 8 + quote);
  CHECK(ip[6] == kIcmpv6);
  CHECK(ip[7] == 64);
  CHECK(slice(ip, 8, 16) == slice(packet, 14 + 24, 16));
  CHECK(slice(ip, 24, 16) == slice(packet, 14 + 8, 16));
  const Bytes icmp = slice(answer, 54, 8 + quote);
  CHECK(read16(icmp, 0) == 0x0200);
  CHECK(read32(icmp, 4) == mtu);
  CHECK(ones_sum(icmp, pseudo_header_sum(ip, kIcmpv6, icmp.size())) == 0xffff);
  CHECK(answer.size() == 62 + quote);
}

// What skb_checksum_help() of the kernel does to the upper layer at `start` when the checksum was left to a device.
Bytes with_checksum_filled_in(Bytes quote, std::size_t start, std::size_t field) {
  const std::uint16_t sum = static_cast<std::uint16_t>(~ones_sum(std::span(quote).subspan(start)));
  write16(quote, start + field, sum == 0 ? 0xffff : sum);
  return quote;
}

std::size_t checksum_field(std::uint8_t protocol) {
  return protocol == kTcp ? 16 : 6;
}

// The quote is the packet's beginning, all but the upper layer's checksum; that one survives being filled in.
void expect_quote(const Bytes& answer, const Bytes& packet, std::size_t start, std::size_t quote,
                  std::optional<std::size_t> upper = std::nullopt, std::uint8_t protocol = kUdp) {
  Bytes quoted = slice(answer, start, quote);
  if (upper) {
    const std::size_t field = checksum_field(protocol);
    CHECK(with_checksum_filled_in(quoted, *upper, field) == quoted);
    write16(quoted, *upper + field, read16(packet, 14 + *upper + field));
  }
  CHECK(quoted == slice(packet, 14, quote));
}

// The outcome is the answer to the packet.
void expect_answer_in(const Outcome& outcome, const PacketSpec& spec, std::optional<std::size_t> upper, unsigned mtu) {
  const Bytes packet = build(spec);
  REQUIRE(outcome.events.size() == 1);
  CHECK(outcome.events[0].mtu == mtu);
  expect_macs_swapped(outcome.bytes, packet);
  if (spec.ipv6()) {
    expect_header6(outcome.bytes, packet, kQuote, mtu);
    expect_quote(outcome.bytes, packet, 62, kQuote, upper, spec.protocol);
  } else {
    expect_header4(outcome.bytes, packet, kQuote, mtu);
    expect_quote(outcome.bytes, packet, 42, kQuote, upper, spec.protocol);
  }
}

void expect_answer(Datapath& datapath, const PacketSpec& spec, std::optional<std::size_t> upper = std::nullopt,
                   unsigned mtu = kTunnelMtu) {
  expect_answer_in(expect_outcome(datapath, SHEATH_DIRECTION_uplink_egress, build(spec), answers(), at_uplink()), spec,
                   upper, mtu);
}

void expect_no_answer(const PacketSpec& spec) {
  for (const Mode mode : kModes)
    expect_outcome(shared_cluster(mode), SHEATH_DIRECTION_uplink_egress, build(spec),
                   drops(SHEATH_REASON_no_answer, kReadyNode), at_uplink());
}

}  // namespace

TEST_CASE("too big: what just fits is encrypted, one byte more is answered with the tunnel's MTU") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies)
      for (const std::uint8_t protocol : {kUdp, kTcp}) {
        auto& cluster = shared_cluster(mode);
        expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(sized(family, kTunnelMtu, protocol)),
                         encrypts(), at_uplink());
        expect_answer(cluster, sized(family, kTunnelMtu + 1, protocol), ip_header(family));
        expect_answer(cluster, sized(family, 1500, protocol), ip_header(family));
      }
}

TEST_CASE("too big: an overlay answers into its own ingress, whatever the engine") {
  constexpr sheath_direction kOverlay = SHEATH_DIRECTION_overlay_egress;
  for (const Mode mode : kModes)
    for (const Family family : kFamilies)
      for (Cluster* cluster : {&shared_cluster(mode), &shared_ipsec_cluster(mode)}) {
        const std::uint32_t mark = cluster == &shared_cluster(mode) ? kReadyMark : kKeyedMark;
        expect_unchanged(*cluster, kOverlay, build(sized(family, kTunnelMtu)), encrypts(mark), at_uplink());
        const PacketSpec spec = sized(family, kTunnelMtu + 1);
        expect_answer_in(expect_outcome(*cluster, kOverlay, build(spec), answers(), at_uplink()), spec,
                         ip_header(family), kTunnelMtu);
      }
}

TEST_CASE("too big: with IPsec, as with WireGuard, an uplink answers, and IPv4 without DF is encrypted as it is") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies) {
      auto& cluster = shared_ipsec_cluster(mode);
      expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(sized(family, kTunnelMtu)), encrypts(kKeyedMark),
                       at_uplink());
      expect_answer(cluster, sized(family, kTunnelMtu + 1), ip_header(family));
      PacketSpec spec = sized(Family::kIpv4, 1500);
      spec.dont_fragment = false;
      expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(spec), encrypts(kKeyedMark), at_uplink());
    }
}

TEST_CASE("too big: IPv4 is held to less where IPv6 made the tunnel larger than the underlay has room for") {
  constexpr std::size_t kIpv4Mtu = 1200;
  sheath_config config = config_for(Mode::kStrict);
  config.ipv4_mtu = kIpv4Mtu;
  Cluster cluster(config);
  const auto encrypted = [&](const PacketSpec& spec, const Context& context) {
    expect_unchanged(cluster, SHEATH_DIRECTION_uplink_egress, build(spec), encrypts(), context);
  };
  for (const std::uint8_t protocol : {kUdp, kTcp}) {
    encrypted(sized(Family::kIpv4, kIpv4Mtu, protocol), at_uplink());
    expect_answer(cluster, sized(Family::kIpv4, kIpv4Mtu + 1, protocol), ip_header(Family::kIpv4), kIpv4Mtu);
    encrypted(sized(Family::kIpv6, kTunnelMtu, protocol), at_uplink());
  }
  // A train of segments: each has 40 bytes of headers.
  Context train = at_uplink();
  train.gso_segs = 3;
  train.gso_size = kIpv4Mtu - 40;
  encrypted(sized(Family::kIpv4, 3 * kIpv4Mtu, kTcp), train);
  train.gso_size += 1;
  const PacketSpec longer = sized(Family::kIpv4, 3 * kIpv4Mtu, kTcp);
  expect_answer_in(expect_outcome(cluster, SHEATH_DIRECTION_uplink_egress, build(longer), answers(), train), longer,
                   ip_header(Family::kIpv4), kIpv4Mtu);
}

TEST_CASE("too big: the quoted checksum is settled, whatever the packet holds") {
  for (const Family family : kFamilies)
    for (const std::uint8_t protocol : {kUdp, kTcp})
      for (std::uint16_t port = 1; port < 200; ++port) {
        PacketSpec spec = sized(family, 1450, protocol);
        spec.source_port = static_cast<std::uint16_t>(port * 331);
        expect_answer(shared_cluster(Mode::kStrict), spec, ip_header(family));
      }
}

TEST_CASE("too big: the report of an answered packet has its ports, whatever became of its bytes") {
  for (const Family family : kFamilies) {
    const Outcome outcome =
        shared_cluster(Mode::kStrict).run(SHEATH_DIRECTION_uplink_egress, build(sized(family, 1500)), at_uplink());
    REQUIRE(outcome.events.size() == 1);
    CHECK(outcome.events[0].source_port == 40000);
    CHECK(outcome.events[0].dest_port == 8080);
  }
}

TEST_CASE("too big: IPv4 without DF is encrypted as it is") {
  PacketSpec spec = sized(Family::kIpv4, 1500);
  spec.dont_fragment = false;
  for (const Mode mode : kModes)
    expect_unchanged(shared_cluster(mode), SHEATH_DIRECTION_uplink_egress, build(spec), encrypts(), at_uplink());
}

TEST_CASE("too big: a packet without a ready peer is not answered but withheld") {
  for (const Mode mode : kModes)
    for (const Family family : kFamilies) {
      PacketSpec spec = sized(family, 1500);
      spec.dest = kKeylessPod.address(family);
      expect_unchanged(shared_cluster(mode), SHEATH_DIRECTION_uplink_egress, build(spec),
                       withheld(SHEATH_REASON_no_key, mode, kKeylessNode), at_uplink());
    }
}

TEST_CASE("too big: IPv4 options are quoted, and do not shift the checksum") {
  for (const std::size_t options : {std::size_t{4}, std::size_t{20}, std::size_t{40}})
    for (const std::uint8_t protocol : {kUdp, kTcp}) {
      PacketSpec spec = sized(Family::kIpv4, 1500 - options, protocol);
      spec.options = options;
      expect_answer(shared_cluster(Mode::kStrict), spec, 20 + options);
    }
}

TEST_CASE("too big: IPv6 extension headers are quoted as they are") {
  PacketSpec spec = sized(Family::kIpv6, 1450);
  spec.extensions = {kHopByHop, kDestination};
  expect_answer(shared_cluster(Mode::kStrict), spec);
}

TEST_CASE("too big: protocols without a checksum that a device fills in are quoted as they are") {
  for (const Family family : kFamilies)
    for (const std::uint8_t protocol : {kEsp, family == Family::kIpv4 ? kIcmp : kIcmpv6}) {
      PacketSpec spec = sized(family, 1450, protocol);
      spec.icmp_type = family == Family::kIpv4 ? 8 : 128;
      expect_answer(shared_cluster(Mode::kStrict), spec);
    }
}

TEST_CASE("too big: a first fragment is answered, a later one only where ICMPv6 allows it") {
  for (const Family family : kFamilies) {
    PacketSpec spec = sized(family, 1440);
    spec.fragment = Fragment{0, true};
    expect_answer(shared_cluster(Mode::kStrict), spec);
    spec.fragment = Fragment{185, false};
    if (family == Family::kIpv4)
      expect_no_answer(spec);
    else
      expect_answer(shared_cluster(Mode::kStrict), spec);
  }
  PacketSpec hidden = sized(Family::kIpv6, 1440, kIcmpv6);
  hidden.fragment = Fragment{185, false};
  expect_no_answer(hidden);
}

TEST_CASE("too big: ICMP errors are never answered, other ICMP is") {
  for (int type = 0; type < 256; ++type) {
    CAPTURE(type);
    PacketSpec spec = sized(Family::kIpv4, 1500, kIcmp);
    spec.icmp_type = static_cast<std::uint8_t>(type);
    if (type == 3 || type == 4 || type == 5 || type == 11 || type == 12)
      expect_no_answer(spec);
    else
      expect_answer(shared_cluster(Mode::kStrict), spec);
    spec = sized(Family::kIpv6, 1500, kIcmpv6);
    spec.icmp_type = static_cast<std::uint8_t>(type);
    if (type < 128)
      expect_no_answer(spec);
    else
      expect_answer(shared_cluster(Mode::kStrict), spec);
  }
}

TEST_CASE("too big: of a tagged packet the answer is untagged") {
  for (const Family family : kFamilies) {
    PacketSpec spec = sized(family, 1500);
    const Bytes untagged = build(spec);
    spec.vlans = {100, 200};
    const Outcome outcome = expect_outcome(shared_cluster(Mode::kStrict), SHEATH_DIRECTION_uplink_egress, build(spec),
                                           answers(), at_uplink());
    expect_macs_swapped(outcome.bytes, untagged);
    const std::size_t start = family == Family::kIpv4 ? 42 : 62;
    expect_quote(outcome.bytes, untagged, start, kQuote, ip_header(family));
  }
}

TEST_CASE("too big: of a packet shorter than the quote, for a tiny tunnel, the first 68 bytes are quoted") {
  const VethPair tiny("tiny", 256);
  sheath_config config = config_for(Mode::kStrict);
  config.tunnel_ifindex = tiny.ifindex;
  config.tunnel_mtu = 256;
  Cluster cluster(config);
  for (const std::size_t length : {std::size_t{257}, std::size_t{300}, std::size_t{511}}) {
    CAPTURE(length);
    const Bytes packet = build(sized(Family::kIpv4, length));
    const Outcome outcome = expect_outcome(cluster, SHEATH_DIRECTION_uplink_egress, packet, answers(), at_uplink());
    expect_header4(outcome.bytes, packet, 68, 256);
    expect_quote(outcome.bytes, packet, 42, 68, 20);
  }
  expect_answer(cluster, sized(Family::kIpv4, 512), 20, 256);
}
