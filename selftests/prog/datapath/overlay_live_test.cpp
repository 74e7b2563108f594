// SPDX-License-Identifier: Apache-2.0
// An overlay device at work: where overlay_egress makes it carry a packet, and what uplink_ingress makes of a packet
// that nobody's MAC address is on.
//
//   [packet socket] ──▶ overlay (vxlan, external) ─▶ overlay_egress ─▶ VXLAN ──▶ under ══ underp [packet socket]
//                                                                                under ◀══ underp: arriving
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "maps/names.hpp"
#include "selftests/harness/packet_socket.hpp"
#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

constexpr std::uint8_t kOwnMac[6] = {2, 0, 0, 0, 0, 3};
constexpr std::size_t kVxlanHeader = 8, kUdpHeader = 8;

// Of this node, and the peer's neighbour entries: nobody answers on the far end.
struct Underlay {
  Underlay() {
    must_run("echo 0 > /proc/sys/net/ipv6/conf/under/disable_ipv6");
    must_run("ip link set under address 02:00:00:00:00:03");
    for (const std::string address : {"172.18.0.3/24", "fd00:18::3/64 nodad"})
      must_run("ip address add " + address + " dev under");
    for (const std::string neighbour : {"172.18.0.4", "fd00:18::4"})
      must_run("ip neighbour add " + neighbour + " dev under lladdr 02:00:00:00:00:04 nud permanent");
    must_run("ip link add overlay type vxlan external dstport " + std::to_string(kVxlanPort));
    must_run("ip link set overlay arp off up");
    overlay = if_nametoindex("overlay");
  }

  VethPair pair{"under", 1500};
  std::uint32_t overlay = 0;
};

const Underlay& underlay() {
  static const Underlay made;
  return made;
}

struct Live {
  explicit Live(Mode mode)
      : cluster(ipsec_config_for(mode)),
        egress(underlay().overlay, TcAttachment::Side::kEgress, cluster.program(SHEATH_DIRECTION_overlay_egress)) {}

  void send(const Bytes& packet) {
    Frame frame;
    frame.bytes = packet;
    overlay.send(frame);
  }
  // The reason that uplink egress had for the last packet.
  std::string uplink_reason() {
    std::string reason = "none";
    for (const sheath_event& event : cluster.take_events())
      if (event.direction == SHEATH_DIRECTION_uplink_egress)
        reason = maps::reason_name(static_cast<sheath_reason>(event.reason));
    return reason;
  }

  Cluster cluster;
  TcAttachment egress;
  PacketSocket overlay{"overlay"};
  PacketSocket far{underlay().pair.far};
};

// Offsets from the outer packet's IP header on, by its family.
struct Layout {
  std::uint16_t ethertype;
  std::size_t ip_header, protocol, dest;
};

Layout layout_of(Family family) {
  if (family == Family::kIpv4) return {0x0800, 20, 9, 16};
  return {0x86dd, 40, 6, 24};
}

void expect_vxlan(const Bytes& frame, const Bytes& inner, Family family) {
  const Layout layout = layout_of(family);
  CHECK(frame.size() == 14 + layout.ip_header + kUdpHeader + kVxlanHeader + inner.size());
  CHECK(read16(frame, 12) == layout.ethertype);
  CHECK(frame[14 + layout.protocol] == kUdp);
  const auto peer = IpAddress::parse(kRemoteNode.address(family)).value();
  CHECK(std::equal(peer.bytes.begin(), peer.bytes.begin() + static_cast<std::ptrdiff_t>(peer.size()),
                   frame.begin() + static_cast<std::ptrdiff_t>(14 + layout.dest)));
  const std::size_t udp = 14 + layout.ip_header;
  CHECK(read16(frame, udp + 2) == kVxlanPort);
  CHECK((read16(frame, udp + 6) == 0) == (family == Family::kIpv4));  // a checksum over IPv6 only
  CHECK(read32(frame, udp + kUdpHeader) == 0x08000000);
  CHECK(read32(frame, udp + kUdpHeader + 4) == SHEATH_VNI << 8);
}

bool ends_with(const Bytes& frame, const Bytes& inner) {
  return frame.size() > inner.size() && std::equal(inner.rbegin(), inner.rend(), frame.rbegin());
}

bool is_vxlan(const Bytes& frame) {
  for (const Family family : kFamilies) {
    const Layout layout = layout_of(family);
    if (frame.size() > 14 + layout.ip_header + kUdpHeader && read16(frame, 12) == layout.ethertype)
      return frame[14 + layout.protocol] == kUdp && read16(frame, 14 + layout.ip_header + 2) == kVxlanPort;
  }
  return false;
}

void expect_carried(Live& live, const Bytes& packet, Family under) {
  live.send(packet);
  const auto outer = live.far.receive([&](const Frame& frame) { return ends_with(frame.bytes, packet); });
  REQUIRE(outer.has_value());
  expect_vxlan(outer->bytes, packet, under);
}

// From the remote node to this one, with a MAC address that is nobody's, and an end of its own to know it by.
Frame arriving(std::uint16_t source_port) {
  PacketSpec spec = between(kRemoteNode, kLocalNode, Family::kIpv4);
  spec.source_port = source_port;
  Frame frame;
  frame.bytes = build(spec);
  return frame;
}

struct Receiver {
  Receiver() : socket(::socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_port = htons(8080);
    REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0);
  }
  // Source port of the next datagram; 0 when none has come for seconds.
  std::uint16_t next() const {
    pollfd ready{socket.get(), POLLIN, 0};
    if (poll(&ready, 1, 3000) <= 0) return 0;
    sockaddr_in from{};
    socklen_t size = sizeof from;
    std::uint8_t byte = 0;
    if (recvfrom(socket.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &size) < 0) return 0;
    return ntohs(from.sin_port);
  }

  UniqueFd socket;
};

}  // namespace

TEST_CASE("overlay live: our ESP is carried to the peer's node, over the family of its underlay address") {
  Live live(Mode::kStrict);
  live.overlay.set_mark(kOuterMark);
  for (const Family under : kFamilies) {
    const auto address = underlay_address(kRemoteNode.address(under));
    live.cluster.set_peer(kReadyNode, {kKeyedMark, SHEATH_PEER_ready, address, SHEATH_NODE_TRAFFIC_plain});
    for (const Family family : kFamilies) {
      PacketSpec spec = between(kLocalRouter, kRemoteRouter, family);
      spec.protocol = kEsp;
      expect_carried(live, build(spec), under);
    }
  }
}

TEST_CASE("overlay live: the VXLAN around our ESP keeps its mark, and the uplink knows it; plaintext loses it") {
  Live live(Mode::kPermissive);
  const TcAttachment uplink(underlay().pair.ifindex, TcAttachment::Side::kEgress,
                            live.cluster.program(SHEATH_DIRECTION_uplink_egress));
  live.overlay.set_mark(kOuterMark);
  live.cluster.set_peer(
      kKeylessNode, {0x33e00, SHEATH_PEER_not_ready, underlay_address(kRemoteNode.ipv6), SHEATH_NODE_TRAFFIC_plain});
  for (const Family family : kFamilies) {
    PacketSpec spec = between(kLocalRouter, kRemoteRouter, family);
    spec.protocol = kEsp;
    expect_carried(live, build(spec), Family::kIpv4);
    CHECK(live.uplink_reason() == "own_outer");
    expect_carried(live, build(between(kLocalNode, kRemotePod, family)), Family::kIpv4);
    CHECK(live.uplink_reason() == "node_plain");
    expect_carried(live, build(between(kLocalPod, kKeylessPod, family)), Family::kIpv6);
    CHECK(live.uplink_reason() == "node_plain");
  }
}

TEST_CASE("overlay live: what is for no node, or is encrypted, is not carried at all") {
  Live live(Mode::kPermissive);
  for (const Family family : kFamilies) {
    live.send(build(between(kLocalPod, kUnknownPod, family)));
    live.send(build(between(kLocalNode, kWorld, family)));
    live.send(build(between(kLocalPod, kRemotePod, family)));  // into the tunnel
    PacketSpec multicast = between(kLocalNode, kWorld, family);
    multicast.dest = family == Family::kIpv4 ? "224.0.0.251" : "ff02::fb";
    live.send(build(multicast));
    const Bytes carried = build(between(kLocalNode, kRemotePod, family));
    live.send(carried);
    const auto first = live.far.receive([](const Frame& frame) { return is_vxlan(frame.bytes); });
    REQUIRE(first.has_value());
    CHECK(ends_with(first->bytes, carried));
  }
}

TEST_CASE("overlay live: only at an overlay does a packet with nobody's MAC address reach the stack") {
  const Receiver receiver;
  PacketSocket far(underlay().pair.far);
  for (const bool overlay : {false, true}) {
    sheath_config config = ipsec_config_for(Mode::kStrict);
    config.overlay = overlay ? 1 : 0;
    Cluster cluster(config);
    const TcAttachment ingress(underlay().pair.ifindex, TcAttachment::Side::kIngress,
                               cluster.program(SHEATH_DIRECTION_uplink_ingress));
    far.send(arriving(1001));
    // Behind it, one that arrives in any case.
    Frame fence = arriving(1002);
    std::ranges::copy(kOwnMac, fence.bytes.begin());
    far.send(fence);
    CHECK(receiver.next() == (overlay ? 1001 : 1002));
    if (overlay) CHECK(receiver.next() == 1002);
  }
}
