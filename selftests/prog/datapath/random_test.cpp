// SPDX-License-Identifier: Apache-2.0
// Random packets against an oracle of its own: in strict mode no packet from the cluster to the cluster's range passes.
#include <doctest/doctest.h>

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
  static constexpr const Party* kParties[] = {&kLocalPod,   &kRemotePod, &kKeylessPod, &kPeerlessPod,
                                              &kUnknownPod, &kLocalNode, &kRemoteNode, &kWorld};
  static constexpr std::uint8_t kProtocols[] = {kUdp, kTcp, kIcmp, kIcmpv6, kEsp, 47, 132};
  static constexpr std::uint8_t kExtensions[] = {kHopByHop, kRouting, kAuthentication, kDestination, kMobility};
  const Family family = random() % 2 ? Family::kIpv4 : Family::kIpv6;
  // Mostly from our pod to the cluster, where the question is.
  const Party& source = random() % 4 ? kLocalPod : *kParties[below(random, std::size(kParties))];
  PacketSpec spec = between(source, *kParties[below(random, std::size(kParties))], family);
  spec.protocol = kProtocols[below(random, std::size(kProtocols))];
  spec.icmp_type = static_cast<std::uint8_t>(random() % 4 ? 133 + random() % 5 : random());
  spec.hop_limit = random() % 2 ? 255 : 64;
  if (random() % 3 == 0) spec.source_port = spec.dest_port = kWireguardPort;
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
  static constexpr std::uint32_t kMarks[] = {0, 0, 0xe00, 0x20e00, 0xc00, 0x20d00, 0x4000};
  return kMarks[below(random, std::size(kMarks))];
}

}  // namespace

TEST_CASE("random packets: from the cluster to its range, none passes uplink egress in strict mode") {
  const std::uint64_t start = seed();
  MESSAGE("SHEATH_SEED=" << start);
  CAPTURE(start);
  Random random(start);
  sheath_config config = config_for(Mode::kStrict);
  config.trace = 0;
  Cluster cluster(config);
  int judged = 0, encrypted = 0;
  for (int i = 0; i < kPackets;) {
    const Bytes packet = random_packet(random);
    if (!can_be_run(packet)) continue;
    ++i;
    const Outcome outcome = cluster.run(SHEATH_DIRECTION_uplink_egress, packet, at_uplink(random_mark(random)));
    if (!belongs_in_the_tunnel(packet)) continue;
    ++judged;
    encrypted += outcome.action == kActRedirect;
    CAPTURE(i);
    if (outcome.action != kActRedirect) CHECK(outcome.action == kActShot);
  }
  // The oracle has seen enough of both ways out to mean something.
  CHECK(judged > kPackets / 4);
  CHECK(encrypted > kPackets / 50);
}

TEST_CASE("random packets: every packet is counted once, by every program") {
  const std::uint64_t start = seed();
  CAPTURE(start);
  Random random(start);
  Cluster cluster(Mode::kPermissive);
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
