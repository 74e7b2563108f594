// SPDX-License-Identifier: Apache-2.0
// Questions out of the tunnel: sent back through it to the peer that asked, and never anywhere else.
#include <doctest/doctest.h>

#include <algorithm>

#include "selftests/prog/datapath/expect.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

constexpr std::size_t kVerifySize = sizeof(sheath_verify);
constexpr std::size_t kKindOffset = 14;

sheath_config asked_config() {
  sheath_config config = config_for(Mode::kStrict);
  config.l2_len = 0;
  return config;
}

Context out_of_tunnel(std::uint32_t mark = 0) {
  return {.ifindex = devices().tunnel.ifindex, .mark = mark};
}

PacketSpec question_spec(const Party& source, const Party& dest, Family family, bool ethernet) {
  PacketSpec spec = between(source, dest, family);
  spec.protocol = SHEATH_PROBE_PROTOCOL;
  spec.payload = kVerifySize - 8;  // behind what the builder takes for ports
  spec.ethernet = ethernet;
  return spec;
}

// The last bytes of the packet.
Bytes with_question(Bytes packet, std::uint8_t kind) {
  Bytes payload = {'s', 'h', 'e', 'a', 't', 'h', '-', 'v', 'e', 'r', 'i', 'f', 'y', 0, kind, 0};
  for (std::uint8_t byte = 0; payload.size() < kVerifySize; ++byte) payload.push_back(byte);
  std::ranges::copy(payload, packet.end() - kVerifySize);
  return packet;
}

Bytes question(const Party& source, const Party& dest, Family family, bool ethernet = false,
               std::uint8_t kind = SHEATH_VERIFY_question) {
  return with_question(build(question_spec(source, dest, family, ethernet)), kind);
}

Expected turned_round(std::uint32_t mark) {
  return {.reason = SHEATH_REASON_encrypted,
          .strict_reason = SHEATH_REASON_encrypted,
          .action = kActRedirect,
          .mark = mark,
          .out_ifindex = devices().tunnel.ifindex,
          .node_id = kReadyNode};
}

// What the peer should get: the same packet with its ends swapped, and an answer.
Bytes answer_to(const Party& source, const Party& dest, Family family, bool ethernet) {
  return question(dest, source, family, ethernet, SHEATH_VERIFY_answer);
}

// Consumed as it is.
void expect_consumed(Cluster& cluster, const Bytes& packet, std::uint16_t node_id = kReadyNode) {
  expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, packet, drops(SHEATH_REASON_probe, node_id),
                   out_of_tunnel());
}

void expect_no_question(Cluster& cluster, const Bytes& packet) {
  expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, packet, passes(SHEATH_REASON_decrypted, kReadyNode),
                   out_of_tunnel());
}

}  // namespace

TEST_CASE("verify: a peer's question to a pod or to this node goes back to it, encrypted, as an answer") {
  Cluster cluster(asked_config());
  for (const Family family : kFamilies)
    for (const Party* source : {&kRemotePod, &kRemoteNode})
      for (const Party* dest : {&kLocalPod, &kOtherLocalPod, &kLocalNode}) {
        CAPTURE(source->name);
        CAPTURE(dest->name);
        const auto outcome = expect_outcome(cluster, SHEATH_DIRECTION_tunnel_ingress, question(*source, *dest, family),
                                            turned_round(kReadyMark), out_of_tunnel());
        CHECK(outcome.bytes == answer_to(*source, *dest, family, false));
      }
}

TEST_CASE("verify: with IPsec it goes back under the key in use, and counts as data that was heard") {
  Cluster& cluster = shared_ipsec_cluster(Mode::kStrict);
  for (const Family family : kFamilies) {
    cluster.forget(kReadyNode);
    const auto outcome =
        expect_outcome(cluster, SHEATH_DIRECTION_tunnel_ingress, question(kRemotePod, kLocalPod, family, true),
                       turned_round(kKeyedMark), out_of_tunnel(0x23d00));
    CHECK(outcome.bytes == answer_to(kRemotePod, kLocalPod, family, true));
    const auto heard = cluster.heard(kReadyNode);
    REQUIRE(heard.has_value());
    CHECK(heard->uses == 1 << 3);
  }
}

TEST_CASE("verify: an answer ends here, whoever it is for") {
  Cluster cluster(asked_config());
  for (const Family family : kFamilies)
    for (const Party* dest : {&kLocalPod, &kLocalNode, &kWorld})
      expect_consumed(cluster, question(kRemotePod, *dest, family, false, SHEATH_VERIFY_answer));
}

TEST_CASE("verify: a question for somebody else, or from a peer that this node may not send to, gets no answer") {
  Cluster cluster(asked_config());
  for (const Family family : kFamilies) {
    for (const Party* dest : {&kWorld, &kUnknownPod, &kRemotePod, &kRemoteNode})
      expect_consumed(cluster, question(kRemotePod, *dest, family));
    expect_consumed(cluster, question(kKeylessPod, kLocalPod, family), kKeylessNode);
    expect_consumed(cluster, question(kPeerlessPod, kLocalPod, family), kPeerlessNode);
  }
}

TEST_CASE("verify: a question from a source that is no peer's is dropped for that") {
  Cluster cluster(asked_config());
  for (const Family family : kFamilies)
    for (const Party* source : {&kLocalPod, &kUnknownPod, &kWorld})
      expect_unchanged(cluster, SHEATH_DIRECTION_tunnel_ingress, question(*source, kLocalPod, family),
                       drops(SHEATH_REASON_bad_source), out_of_tunnel());
}

TEST_CASE("verify: what is not quite a question is data") {
  Cluster cluster(asked_config());
  for (const Family family : kFamilies) {
    const Bytes whole = question(kRemotePod, kLocalPod, family);
    const std::size_t payload = whole.size() - kVerifySize;
    for (const std::size_t offset : {payload, payload + 12, payload + 13, payload + 15}) {
      Bytes odd = whole;
      odd[offset] ^= 1;
      expect_no_question(cluster, odd);
    }
    for (const std::uint8_t kind : Bytes{0, 3, 255})
      expect_no_question(cluster, question(kRemotePod, kLocalPod, family, false, kind));
    PacketSpec longer = question_spec(kRemotePod, kLocalPod, family, false);
    longer.payload += 1;
    expect_no_question(cluster, with_question(build(longer), SHEATH_VERIFY_question));
    PacketSpec other = question_spec(kRemotePod, kLocalPod, family, false);
    other.protocol = SHEATH_PROBE_PROTOCOL + 1;
    expect_no_question(cluster, with_question(build(other), SHEATH_VERIFY_question));
  }
  CHECK(offsetof(sheath_verify, kind) == kKindOffset);
}
