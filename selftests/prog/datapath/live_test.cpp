// SPDX-License-Identifier: Apache-2.0
// What BPF_PROG_TEST_RUN cannot show: the programs on devices, with offloads, accelerated tags and redirects that
// happen.
//
//   [packet socket] ──▶ uplink ─▶ uplink_egress ──▶ tunnel ══ tunnelp [packet socket]
//                         ▲            │
//                   uplink_ingress ◀───┘ the ICMP answer
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <span>

#include "maps/names.hpp"
#include "push_tag.skel.h"
#include "selftests/harness/checksum.hpp"
#include "selftests/harness/packet_socket.hpp"
#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

constexpr std::uint16_t kTag = 100;  // as in programs/push_tag.bpf.c
constexpr std::uint16_t kLargeSegment = 1460, kFittingSegment = 1300;

struct Live {
  explicit Live(Mode mode = Mode::kStrict)
      : cluster(mode),
        egress(devices().uplink.ifindex, TcAttachment::Side::kEgress, cluster.program(SHEATH_DIRECTION_uplink_egress)),
        ingress(devices().uplink.ifindex, TcAttachment::Side::kIngress,
                cluster.program(SHEATH_DIRECTION_uplink_ingress)) {}

  // The reason that uplink egress had for what was just sent.
  std::string reason() {
    for (const sheath_event& event : cluster.take_events())
      if (event.direction == SHEATH_DIRECTION_uplink_egress)
        return std::string(maps::reason_name(static_cast<sheath_reason>(event.reason)));
    return "none";
  }

  Cluster cluster;
  TcAttachment egress;
  TcAttachment ingress;
  PacketSocket uplink{devices().uplink.near};
  PacketSocket far_tunnel{devices().tunnel.far};
};

// Every packet that leaves by the uplink gets an accelerated tag before uplink egress sees it.
struct Tagged {
  Tagged() {
    const std::uint32_t first = 0;
    const int program = cluster.program(SHEATH_DIRECTION_uplink_egress);
    REQUIRE(bpf_map_update_elem(bpf_map__fd(tagger->maps.next), &first, &program, BPF_ANY) == 0);
    egress.emplace(devices().uplink.ifindex, TcAttachment::Side::kEgress, bpf_program__fd(tagger->progs.push_tag));
  }

  Cluster cluster{Mode::kStrict};
  std::unique_ptr<push_tag, void (*)(push_tag*)> tagger{push_tag::open_and_load(), push_tag::destroy};
  std::optional<TcAttachment> egress;
  PacketSocket uplink{devices().uplink.near};
  PacketSocket far_tunnel{devices().tunnel.far};
};

// A frame as a socket's: the checksum is left to the device, and with `segment` so is cutting into segments. Only the
// Ethernet header is promised to be linear.
Frame from_socket(Family family, std::uint8_t protocol, std::size_t payload, std::uint16_t segment = 0) {
  PacketSpec spec = between(kLocalPod, kRemotePod, family);
  spec.protocol = protocol;
  spec.dont_fragment = true;
  spec.payload = payload;
  Frame frame;
  frame.bytes = build(spec);
  const std::size_t start = 14 + (family == Family::kIpv4 ? 20 : 40);
  frame.offload.flags = kNeedsChecksum;
  frame.offload.csum_start = static_cast<std::uint16_t>(start);
  frame.offload.csum_offset = protocol == kTcp ? 16 : 6;
  const auto ip = std::span(frame.bytes).subspan(14);
  write16(frame.bytes, start + frame.offload.csum_offset, pseudo_header_sum(ip, protocol, frame.bytes.size() - start));
  if (segment != 0) {
    frame.offload.gso_type = family == Family::kIpv4 ? kGsoTcp4 : kGsoTcp6;
    frame.offload.gso_size = segment;
    frame.offload.hdr_len = 14;
  }
  return frame;
}

bool is_answer(const Frame& frame) {
  const bool ipv4 = frame.bytes.size() > 42 && frame.bytes[23] == kIcmp && read16(frame.bytes, 34) == 0x0304;
  const bool ipv6 = frame.bytes.size() > 62 && frame.bytes[20] == kIcmpv6 && read16(frame.bytes, 54) == 0x0200;
  return !frame.outgoing && (ipv4 || ipv6);
}

void expect_checksum(const Bytes& answer) {
  const auto ip = std::span(answer).subspan(14);
  const bool ipv4 = ip[0] >> 4 == 4;
  const auto icmp = ip.subspan(ipv4 ? 20 : 40);
  CHECK(ones_sum(icmp, ipv4 ? 0 : pseudo_header_sum(ip, kIcmpv6, icmp.size())) == 0xffff);
}

// Right as it is, and right when a device without checksum offload has done what the frame still asks for.
void expect_sound_answer(const Frame& answer) {
  expect_checksum(answer.bytes);
  CHECK((answer.offload.flags & kNeedsChecksum) != 0);  // the case that matters: the order stays
  CHECK(answer.offload.gso_type == kGsoNone);
  Bytes filled = answer.bytes;
  const std::size_t start = answer.offload.csum_start;
  const auto sum = static_cast<std::uint16_t>(~ones_sum(std::span(filled).subspan(start)));
  write16(filled, start + answer.offload.csum_offset, sum == 0 ? 0xffff : sum);
  expect_checksum(filled);
}

}  // namespace

TEST_CASE("live: a packet for a ready peer comes out of the tunnel device as it went in") {
  Live live;
  for (const Family family : kFamilies) {
    const Frame sent = from_socket(family, kUdp, 100);
    live.uplink.send(sent);
    const auto received = live.far_tunnel.receive([&](const Frame& frame) { return frame.bytes == sent.bytes; });
    CHECK(received.has_value());
    CHECK(live.reason() == "encrypted");
  }
}

TEST_CASE("live: a train whose segments fit goes into the tunnel whole") {
  Live live;
  for (const Family family : kFamilies) {
    const Frame sent = from_socket(family, kTcp, 8000, kFittingSegment);
    live.uplink.send(sent);
    const auto received = live.far_tunnel.receive([&](const Frame& frame) { return frame.bytes == sent.bytes; });
    REQUIRE(received.has_value());
    CHECK(received->offload.gso_size == kFittingSegment);
    CHECK(live.reason() == "encrypted");
  }
}

TEST_CASE("live: a train whose segments do not fit is answered, with a checksum that survives being filled in") {
  Live live;
  for (const Family family : kFamilies) {
    live.uplink.send(from_socket(family, kTcp, 8000, kLargeSegment));
    const auto answer = live.uplink.receive(is_answer);
    REQUIRE(answer.has_value());
    expect_sound_answer(*answer);
    CHECK(live.reason() == "too_big");
  }
}

TEST_CASE("live: a large datagram is answered, with a checksum that survives being filled in") {
  Live live;
  for (const Family family : kFamilies) {
    live.uplink.send(from_socket(family, kUdp, 1440));
    const auto answer = live.uplink.receive(is_answer);
    REQUIRE(answer.has_value());
    expect_sound_answer(*answer);
    CHECK(live.reason() == "too_big");
  }
}

TEST_CASE("live: the answer passes uplink ingress by its mark") {
  Live live;
  for (const Family family : kFamilies) {
    const auto before = live.cluster.counters(SHEATH_DIRECTION_uplink_ingress).own_answer.packets;
    live.uplink.send(from_socket(family, kUdp, 1440));
    REQUIRE(live.uplink.receive(is_answer).has_value());
    CHECK(live.cluster.counters(SHEATH_DIRECTION_uplink_ingress).own_answer.packets == before + 1);
  }
}

TEST_CASE("live: an accelerated VLAN tag is taken off on the way into the tunnel, and stays on the answer") {
  Tagged live;
  for (const Family family : kFamilies) {
    const Frame sent = from_socket(family, kUdp, 100);
    live.uplink.send(sent);
    const auto received = live.far_tunnel.receive([&](const Frame& frame) { return frame.bytes == sent.bytes; });
    REQUIRE(received.has_value());
    CHECK(!received->tag.has_value());
    live.uplink.send(from_socket(family, kUdp, 1440));
    const auto answer = live.uplink.receive(is_answer);
    REQUIRE(answer.has_value());
    CHECK(answer->tag == kTag);
    expect_sound_answer(*answer);
  }
}

TEST_CASE("live: a packet that passes keeps its accelerated VLAN tag") {
  Tagged live;
  PacketSocket far_uplink(devices().uplink.far);
  for (const Family family : kFamilies) {
    Frame sent;
    sent.bytes = build(between(kLocalPod, kWorld, family));
    live.uplink.send(sent);
    const auto received = far_uplink.receive([&](const Frame& frame) { return frame.bytes == sent.bytes; });
    REQUIRE(received.has_value());
    CHECK(received->tag == kTag);
  }
}
