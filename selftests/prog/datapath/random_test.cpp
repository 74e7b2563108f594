// SPDX-License-Identifier: Apache-2.0
// Random packets against an oracle of its own: in strict mode no packet from the cluster to the cluster's range passes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "maps/names.hpp"
#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

constexpr int kPackets = 100'000;

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t limit) {
  return random() % limit;
}

// The seed of a failed run, to have it again: SHEATH_SEED=N.
std::uint64_t seed() {
  const char* given = std::getenv("SHEATH_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
}

PacketSpec random_spec(Random& random) {
  static constexpr const Party* kParties[] = {&kLocalPod,  &kRemotePod,  &kKeylessPod, &kPeerlessPod, &kUnknownPod,
                                              &kLocalNode, &kRemoteNode, &kWorld,      &kLocalRouter, &kRemoteRouter};
  static constexpr std::uint8_t kProtocols[] = {kUdp, kTcp, kIcmp, kIcmpv6, kEsp, 47, 132, SHEATH_PROBE_PROTOCOL};
  static constexpr std::uint8_t kExtensions[] = {kHopByHop, kRouting, kAuthentication, kDestination, kMobility};
  const Family family = random() % 2 ? Family::kIpv4 : Family::kIpv6;
  // Mostly from our pod to the cluster, where the question is.
  const Party& source = random() % 4 ? kLocalPod : *kParties[below(random, std::size(kParties))];
  PacketSpec spec = between(source, *kParties[below(random, std::size(kParties))], family);
  spec.protocol = kProtocols[below(random, std::size(kProtocols))];
  spec.icmp_type = static_cast<std::uint8_t>(random() % 4 ? 133 + random() % 5 : random());
  spec.hop_limit = random() % 2 ? 255 : 64;
  if (random() % 3 == 0) spec.source_port = spec.dest_port = kWireguardPort;
  if (random() % 3 == 0) spec.dest_port = kVxlanPort;
  spec.payload = below(random, random() % 8 ? 64 : 1600);
  spec.dont_fragment = random() % 2;
  if (random() % 4 == 0) spec.fragment = Fragment{static_cast<std::uint16_t>(random() % 3), random() % 2 == 0};
  if (random() % 4 == 0) spec.options = 4 * below(random, 11);
  for (std::size_t i = random() % 4 ? 0 : below(random, 11); i > 0; --i)
    spec.extensions.push_back(kExtensions[below(random, std::size(kExtensions))]);
  for (std::size_t i = random() % 4 ? 0 : below(random, 4); i > 0; --i)
    spec.vlans.push_back(static_cast<std::uint16_t>(random() & 0xfff));
  return spec;
}

// Half of the packets are changed in some bytes, or cut: in the headers, where it hurts.
void mutate(Random& random, Bytes& packet) {
  for (std::size_t i = below(random, 5); i > 0; --i)
    packet[below(random, std::min<std::size_t>(packet.size(), 80))] = static_cast<std::uint8_t>(random());
  if (random() % 4 == 0) packet.resize(15 + below(random, packet.size() - 14));
  if (random() % 8 == 0) packet.resize(packet.size() + below(random, 64), 0);
}

bool starts_with(const Bytes& packet, std::size_t at, const Bytes& prefix) {
  return packet.size() >= at + prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), packet.begin() + static_cast<std::ptrdiff_t>(at));
}

// The oracle knows only where addresses are and what the cluster's ranges begin with: from a pod's address to one
// of the range, and not to this node's own pods. Whether the rest of the packet makes sense is not its business.
bool belongs_in_the_tunnel(const Bytes& frame) {
  std::size_t at = 12;
  for (int tags = 0; tags < 2 && at + 2 <= frame.size() && (read16(frame, at) == 0x8100 || read16(frame, at) == 0x88a8);
       ++tags)
    at += 4;
  if (at + 2 > frame.size()) return false;
  const std::uint16_t ethertype = read16(frame, at);
  at += 2;
  const Bytes range4 = {10, 244}, local4 = {10, 244, 1};
  const Bytes range6 = {0xfd, 0, 0, 0x10, 0x02, 0x44}, local6 = {0xfd, 0, 0, 0x10, 0x02, 0x44, 0, 1};
  if (ethertype == 0x0800 && frame.size() >= at + 20)
    return starts_with(frame, at + 12, range4) && starts_with(frame, at + 16, range4) &&
           !starts_with(frame, at + 16, local4);
  if (ethertype == 0x86dd && frame.size() >= at + 40)
    return starts_with(frame, at + 8, range6) && starts_with(frame, at + 24, range6) &&
           !starts_with(frame, at + 24, local6);
  return false;
}

// Between the two routers, and with the mark that the engine leaves; an engine that does not mark may have made it too.
// Which of these are outer packets is for ipsec_test.cpp to say; whoever's address and mark are others', may not pass.
bool may_be_an_outer_packet(const Bytes& frame, std::uint32_t mark, const sheath_config& config) {
  if (config.marked != 0 && mark != kOuterMark) return false;
  const Bytes routers4 = {10, 244, 1, 1, 10, 244, 2, 1};
  const Bytes routers6 = {0xfd, 0, 0, 0x10, 0x02, 0x44, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
                          0xfd, 0, 0, 0x10, 0x02, 0x44, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1};
  return std::ranges::search(frame, routers4).begin() != frame.end() ||
         std::ranges::search(frame, routers6).begin() != frame.end();
}

// What BPF_PROG_TEST_RUN refuses: see frames_test.cpp.
bool can_be_run(const Bytes& frame) {
  const std::uint16_t ethertype = read16(frame, 12);
  if (ethertype == 0x0800) return frame.size() >= 34;
  if (ethertype == 0x86dd) return frame.size() >= 54;
  return frame.size() > 14;
}

Bytes random_packet(Random& random) {
  Bytes packet = build(random_spec(random));
  if (random() % 2 == 0) mutate(random, packet);
  return packet;
}

std::uint32_t random_mark(Random& random) {
  static constexpr std::uint32_t kMarks[] = {0, 0, 0xe00, 0x20e00, 0xc00, 0x20d00, 0x23d00, 0x4000};
  return kMarks[below(random, std::size(kMarks))];
}

void expect_none_passes(Random& random, sheath_direction direction, sheath_config config) {
  config.trace = 0;
  Cluster cluster(config);
  int judged = 0, encrypted = 0;
  for (int i = 0; i < kPackets;) {
    const Bytes packet = random_packet(random);
    if (!can_be_run(packet)) continue;
    ++i;
    const std::uint32_t mark = random_mark(random);
    const Outcome outcome = cluster.run(direction, packet, at_uplink(mark));
    if (!belongs_in_the_tunnel(packet) || may_be_an_outer_packet(packet, mark, config)) continue;
    ++judged;
    encrypted += outcome.action == kActRedirect;
    CAPTURE(i);
    if (outcome.action != kActRedirect) CHECK(outcome.action == kActShot);
  }
  // The oracle has seen enough of both ways out to mean something.
  CHECK(judged > kPackets / 4);
  CHECK(encrypted > kPackets / 50);
}

void expect_all_counted(Random& random, Cluster& cluster) {
  constexpr std::uint64_t kRuns = 2'000;
  for (const auto& direction : maps::directions()) {
    CAPTURE(direction.name);
    for (std::uint64_t i = 0; i < kRuns;) {
      const Bytes packet = random_packet(random);
      if (!can_be_run(packet)) continue;
      ++i;
      cluster.run(direction.direction, packet, at_uplink(random_mark(random)));
    }
    std::uint64_t counted = 0;
    const sheath_counters counters = cluster.counters(direction.direction);
    for (const auto& reason : maps::reasons()) counted += maps::counter(counters, reason.reason).packets;
    CHECK(counted == kRuns);
  }
}

}  // namespace

TEST_CASE("random packets: from the cluster to its range, none passes an uplink or an overlay in strict mode") {
  const std::uint64_t start = seed();
  MESSAGE("SHEATH_SEED=" << start);
  CAPTURE(start);
  Random random(start);
  for (const auto& [direction, config] :
       {std::pair{SHEATH_DIRECTION_uplink_egress, config_for(Mode::kStrict)},
        std::pair{SHEATH_DIRECTION_uplink_egress, ipsec_config_for(Mode::kStrict)},
        std::pair{SHEATH_DIRECTION_overlay_egress, ipsec_config_for(Mode::kStrict)}}) {
    CAPTURE(maps::direction_name(direction));
    CAPTURE(static_cast<int>(config.marked));
    expect_none_passes(random, direction, config);
  }
}

TEST_CASE("random packets: every packet is counted once, by every program") {
  const std::uint64_t start = seed();
  CAPTURE(start);
  Random random(start);
  Cluster wireguard(Mode::kPermissive);
  Cluster ipsec(ipsec_config_for(Mode::kPermissive));
  for (Cluster* cluster : {&wireguard, &ipsec}) expect_all_counted(random, *cluster);
}
