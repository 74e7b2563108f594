// SPDX-License-Identifier: Apache-2.0
// Coming out of an xfrm interface: whose key opened the packet, what is noted of it, and probes. Such packets start at
// an Ethernet header and carry the mark of the receive state.
#include <doctest/doctest.h>

#include <algorithm>

#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

constexpr std::uint8_t kProbe = SHEATH_PROBE_PROTOCOL;
constexpr std::size_t kProbeSize = 16;

constexpr std::uint32_t opened(std::uint32_t node_id, std::uint32_t generation) {
  return node_id << 16 | generation << 12 | 0xd00;
}

Context at_tunnel(std::uint32_t mark) {
  return {.ifindex = devices().tunnel.ifindex, .mark = mark};
}

Bytes data(const Party& source, const Party& dest, Family family) {
  return build(between(source, dest, family));
}

PacketSpec probe_spec(const Party& source, Family family) {
  PacketSpec spec = between(source, kLocalRouter, family);
  spec.protocol = kProbe;
  spec.payload = kProbeSize - 8;  // behind what the builder takes for ports
  return spec;
}

// The last 16 bytes of the packet.
Bytes with_probe(Bytes packet, std::uint8_t uses) {
  Bytes payload = {'s', 'h', 'e', 'a', 't', 'h', '-', 'p', 'r', 'o', 'b', 'e', 0, uses, 0, 0};
  std::ranges::copy(payload, packet.end() - kProbeSize);
  return packet;
}

Bytes probe(const Party& source, Family family, std::uint8_t uses) {
  return with_probe(build(probe_spec(source, family)), uses);
}

// Strict: there is no other mode here, as tunnel_ingress_test.cpp shows.
Cluster& cluster() {
  return shared_ipsec_cluster(Mode::kStrict);
}

void expect_heard(std::uint16_t node_id, unsigned keys, unsigned uses) {
  const auto heard = cluster().heard(node_id);
  REQUIRE(heard.has_value());
  CHECK(heard->keys == keys);
  CHECK(heard->uses == uses);
  CHECK(heard->pad == 0);
}

void expect_decrypted(const Bytes& packet, std::uint32_t mark) {
  expect_unchanged(cluster(), SHEATH_DIRECTION_tunnel_ingress, packet, passes(SHEATH_REASON_decrypted, kReadyNode),
                   at_tunnel(mark));
}

void expect_probe(const Bytes& packet, std::uint32_t mark) {
  Expected expected = drops(SHEATH_REASON_probe, kReadyNode);
  expected.mark = mark;
  expect_unchanged(cluster(), SHEATH_DIRECTION_tunnel_ingress, packet, expected, at_tunnel(mark));
}

void expect_bad_source(const Bytes& packet, std::uint32_t mark, std::uint16_t node_id) {
  Expected expected = drops(SHEATH_REASON_bad_source, node_id);
  expected.mark = mark;
  expect_unchanged(cluster(), SHEATH_DIRECTION_tunnel_ingress, packet, expected, at_tunnel(mark));
  CHECK(!cluster().heard(kReadyNode).has_value());
  CHECK(!cluster().heard(kKeylessNode).has_value());
}

void forget_all() {
  cluster().forget(kReadyNode);
  cluster().forget(kKeylessNode);
}

// Noted as data: whatever it looked like.
void expect_data(const Bytes& packet) {
  forget_all();
  expect_decrypted(packet, opened(kReadyNode, 3));
  expect_heard(kReadyNode, 1 << 3, 1 << 3);
}

}  // namespace

TEST_CASE("heard: data of a peer goes to the stack without a mark, and its generation is noted as one in use") {
  for (const Family family : kFamilies)
    for (std::uint32_t generation = 1; generation < 16; ++generation) {
      forget_all();
      for (const Party* dest : {&kLocalPod, &kOtherLocalPod, &kLocalRouter, &kWorld})
        expect_decrypted(data(kRemotePod, *dest, family), opened(kReadyNode, generation));
      expect_decrypted(data(kRemoteRouter, kLocalPod, family), opened(kReadyNode, generation));
      expect_heard(kReadyNode, 1U << generation, 1U << generation);
    }
}

TEST_CASE("heard: generations add up, each peer has its own, and what the loader took out comes again") {
  forget_all();
  const Bytes packet = data(kRemotePod, kLocalPod, Family::kIpv4);
  expect_decrypted(packet, opened(kReadyNode, 15));
  expect_decrypted(packet, opened(kReadyNode, 1));
  expect_heard(kReadyNode, 1 << 15 | 1 << 1, 1 << 15 | 1 << 1);
  CHECK(!cluster().heard(kKeylessNode).has_value());
  // A peer that this node may not send to yet may have begun to send.
  expect_unchanged(cluster(), SHEATH_DIRECTION_tunnel_ingress, data(kKeylessPod, kLocalPod, Family::kIpv4),
                   passes(SHEATH_REASON_decrypted, kKeylessNode), at_tunnel(opened(kKeylessNode, 2)));
  expect_heard(kKeylessNode, 1 << 2, 1 << 2);
  cluster().forget(kReadyNode);
  expect_decrypted(packet, opened(kReadyNode, 1));
  expect_heard(kReadyNode, 1 << 1, 1 << 1);
}

TEST_CASE("heard: a peer's source under another peer's key, or under none, is dropped and not noted") {
  forget_all();
  for (const Family family : kFamilies)
    for (const Bytes& packet : {data(kRemotePod, kLocalPod, family), probe(kRemotePod, family, 3)}) {
      expect_bad_source(packet, opened(kKeylessNode, 3), kKeylessNode);
      expect_bad_source(packet, 0, kReadyNode);
      expect_bad_source(packet, opened(0, 3), kReadyNode);           // nobody's key
      expect_bad_source(packet, opened(kReadyNode, 0), kReadyNode);  // no key of a peer
      expect_bad_source(packet, kKeyedMark, kReadyNode);             // a mark to transmit
      expect_bad_source(packet, 0x23c00, kReadyNode);
      expect_bad_source(packet, 0x4000, kReadyNode);
    }
}

TEST_CASE("heard: whatever the key, what is not from a peer's pods is dropped and not noted") {
  forget_all();
  for (const Family family : kFamilies)
    for (const Party* source : {&kLocalPod, &kLocalRouter, &kLocalNode, &kUnknownPod, &kWorld}) {
      CAPTURE(source->name);
      expect_bad_source(data(*source, kLocalPod, family), opened(kReadyNode, 3), kReadyNode);
      expect_bad_source(probe(*source, family, 3), opened(kReadyNode, 3), kReadyNode);
    }
}

TEST_CASE("heard: a probe is noted, counted and consumed; data does not use its generation unless it says so") {
  for (const Family family : kFamilies)
    for (const Party* source : {&kRemotePod, &kRemoteRouter}) {
      forget_all();
      expect_probe(probe(*source, family, 0), opened(kReadyNode, 3));
      expect_heard(kReadyNode, 1 << 3, 0);
      expect_probe(probe(*source, family, 3), opened(kReadyNode, 4));
      expect_heard(kReadyNode, 1 << 3 | 1 << 4, 0);
      expect_probe(probe(*source, family, 4), opened(kReadyNode, 4));
      expect_heard(kReadyNode, 1 << 3 | 1 << 4, 1 << 4);
    }
}

TEST_CASE("heard: a pod's own probe cannot make believe that its node uses another generation") {
  for (std::uint8_t claim = 0; claim < 16; ++claim) {
    if (claim == 3) continue;
    forget_all();
    expect_probe(probe(kRemotePod, Family::kIpv4, claim), opened(kReadyNode, 3));
    expect_heard(kReadyNode, 1 << 3, 0);
  }
}

TEST_CASE("heard: what is not to the byte a probe is data") {
  for (const Family family : kFamilies) {
    const Bytes whole = probe(kRemotePod, family, 3);
    for (std::size_t i = 0; i < kProbeSize; ++i) {
      CAPTURE(i);
      Bytes changed = whole;
      changed[changed.size() - kProbeSize + i] ^= 0x20;
      expect_data(changed);
    }
    for (const std::size_t size : {std::size_t{15}, std::size_t{17}, std::size_t{0}, std::size_t{32}}) {
      PacketSpec spec = probe_spec(kRemotePod, family);
      spec.fragment.reset();
      spec.payload = 64 - 8;
      Bytes other = build(spec);
      const std::size_t ip = family == Family::kIpv4 ? 20 : 40;
      other.resize(14 + ip + size);
      if (family == Family::kIpv4)
        write16(other, 16, static_cast<std::uint16_t>(ip + size));
      else
        write16(other, 18, static_cast<std::uint16_t>(size));
      const Bytes payload(whole.end() - kProbeSize, whole.end());
      std::copy_n(payload.begin(), std::min(size, kProbeSize), other.begin() + static_cast<std::ptrdiff_t>(14 + ip));
      expect_data(other);
    }
    PacketSpec spec = probe_spec(kRemotePod, family);
    spec.protocol = 254;
    expect_data(with_probe(build(spec), 3));
    spec.protocol = kProbe;
    spec.fragment = Fragment{0, true};
    expect_data(with_probe(build(spec), 3));
    spec.payload = kProbeSize;
    spec.fragment = Fragment{2, false};
    expect_data(with_probe(build(spec), 3));
  }
}

TEST_CASE("heard: padding behind a probe is the link's, options and extension headers before it are not its own") {
  Bytes padded = probe(kRemotePod, Family::kIpv4, 3);
  padded.resize(padded.size() + 10);
  expect_probe(padded, opened(kReadyNode, 3));
  PacketSpec spec = probe_spec(kRemotePod, Family::kIpv4);
  spec.options = 8;
  expect_probe(with_probe(build(spec), 3), opened(kReadyNode, 3));
  spec = probe_spec(kRemotePod, Family::kIpv6);
  spec.extensions = {kDestination};
  expect_probe(with_probe(build(spec), 3), opened(kReadyNode, 3));
}

TEST_CASE("heard: probes are reported only when traced") {
  sheath_config config = ipsec_config_for(Mode::kStrict);
  config.trace = 0;
  Cluster quiet(config);
  const Outcome outcome =
      quiet.run(SHEATH_DIRECTION_tunnel_ingress, probe(kRemotePod, Family::kIpv4, 3), at_tunnel(opened(kReadyNode, 3)));
  CHECK(outcome.action == kActShot);
  CHECK(outcome.events.empty());
}

TEST_CASE("heard: an engine without marks has no generations; its probes end here, too") {
  for (const Family family : kFamilies) {
    auto& unmarked = shared_cluster(Mode::kStrict);
    Expected expected = drops(SHEATH_REASON_probe, kReadyNode);
    expected.mark = opened(kReadyNode, 3);
    expect_unchanged(unmarked, SHEATH_DIRECTION_tunnel_ingress, probe(kRemotePod, family, 3), expected,
                     at_tunnel(opened(kReadyNode, 3)));
    CHECK(!unmarked.heard(kReadyNode).has_value());
  }
}

TEST_CASE("heard: the fast path delivers what it noted, with the pod's MAC addresses, and consumes probes") {
  sheath_config config = ipsec_config_for(Mode::kStrict);
  config.fast_path = 1;
  Cluster fast(config);
  Expected delivered = passes(SHEATH_REASON_delivered, kReadyNode);
  delivered.action = kActRedirect;
  delivered.out_ifindex = devices().pod.ifindex;
  for (const Family family : kFamilies) {
    fast.forget(kReadyNode);
    Bytes packet = data(kRemotePod, kLocalPod, family);
    const Outcome outcome =
        expect_outcome(fast, SHEATH_DIRECTION_tunnel_ingress, packet, delivered, at_tunnel(opened(kReadyNode, 3)));
    std::ranges::copy(kPodMac, packet.begin());
    std::ranges::copy(kHostMac, packet.begin() + 6);
    CHECK(outcome.bytes == packet);
    REQUIRE(fast.heard(kReadyNode).has_value());
    CHECK(fast.heard(kReadyNode)->uses == 1 << 3);
    PacketSpec spec = probe_spec(kRemotePod, family);
    spec.dest = kLocalPod.address(family);
    Expected consumed = drops(SHEATH_REASON_probe, kReadyNode);
    consumed.mark = opened(kReadyNode, 4);
    expect_unchanged(fast, SHEATH_DIRECTION_tunnel_ingress, with_probe(build(spec), 3), consumed,
                     at_tunnel(opened(kReadyNode, 4)));
    CHECK(fast.heard(kReadyNode)->keys == (1 << 3 | 1 << 4));
  }
}
