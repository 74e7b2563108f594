// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/xfrm.h>

#include <array>
#include <cstddef>
#include <numeric>

#include "loader/netlink/xfrm_codec.hpp"
#include "loader/netlink/xfrm_stat.hpp"
#include "netlink_bytes.hpp"

// The bytes are dumps of 6.12 (those of 6.1 differ in times only), of states and policies with made-up keys. The first
// line of each is the fixed struct.

using namespace sheath;
using namespace sheath::netlink;

namespace {

const std::string kTransmitState =
    "00*56 ac120005 00*12 0abc012332000000ac120004 00*12 ff*32 00*48 114c066b 00*28 0100000002000100a0 00*7 "
    "60001200726663343130362867636d286165732929 00*47 a0000000800000000001020304050607 08090a0b0c0d0e0f10111213 "
    "0c001500003e020000ffffff "
    "08001d00000e0000 "
    "08001e00ffffffff "
    "9c00170020 00*20 04 00*130 "
    "08001f0001000000 ";
const std::string kCbcState =
    "00*40 02 00*15 ac120005 00*12 0abc012432000000ac120004 00*12 ff*32 00*48 134c066b 00*28 0100000002000120 00*8 "
    "68000100686d61632873686132353629 00*53 010000000102030405060708090a0b0c0d0e0f10111213141516 "
    "1718191a1b1c1d1e1f "
    "6c001400686d61632873686132353629 00*53 01000080000000000102030405060708090a0b0c0d0e0f10111213141516 "
    "1718191a1b1c1d1e1f "
    "580002006362632861657329 00*56 80000000202122232425262728292a2b2c2d2e2f "
    "10000a00 030000000700000001000000 ";
const std::string kTransmitPolicy =
    "0af402 00*13 0af401 00*21 02001818 00*12 ff*32 00*48 144c066b 00*12 640000000100000001 00*7 "
    "44000500ac120005 00*12 0abc01243200000002000000ac120004 00*12 0100000001000000 ff*12 "
    "0a0010 00*9 "
    "0c001500003e020000ffffff "
    "08001f0001000000 ";
const std::string kForwardPolicy =
    "00*40 02 00*15 ff*32 00*48 144c066b 00*16 1200000002 00*7 "
    "440005 00*21 3200000002 00*19 0100000001000100 ff*12 "
    "0a0010 00*9 "
    "08001f0001000000 ";
const std::string kBlockPolicy =
    "0af4 00*14 0af4 00*22 02001010 00*12 ff*32 00*48 144c066b 00*12 a00f0000210000000101 00*6 "
    "0a0010 00*9 ";
// Of somebody else: TCP port 80 by AH in transport mode.
const std::string kPortPolicy =
    "c00002 00*13 c00002 00*14 50ffff000000000200181806 00*11 ff*32 00*48 144c066b 00*16 2900000001 00*7 "
    "440005 00*21 3300000002 00*27 ff*12 "
    "0a0010 00*9 ";

// Neither secret nor short: the sum of each key's bytes.
XfrmKeyDigest sums(const XfrmKeys& keys) {
  const auto sum = [](Bytes bytes) { return std::accumulate(bytes.begin(), bytes.end(), 0); };
  return {static_cast<std::uint8_t>(sum(keys.encryption)), static_cast<std::uint8_t>(sum(keys.authentication))};
}

Result<std::optional<XfrmStateReport>> state_of(Bytes payload, std::uint32_t if_id = 0) {
  return decode_state({XFRM_MSG_NEWSA, payload}, if_id, sums);
}

XfrmStateReport whole_state(Bytes payload) {
  const auto decoded = state_of(payload);
  REQUIRE_MESSAGE(decoded, (decoded ? "" : decoded.error().what()));
  REQUIRE(*decoded);
  return **decoded;
}

Result<std::optional<XfrmPolicyReport>> policy_of(Bytes payload, std::uint32_t if_id = 0) {
  return decode_policy({XFRM_MSG_NEWPOLICY, payload}, if_id);
}

XfrmPolicyReport whole_policy(const std::string& text) {
  const auto decoded = policy_of(bytes_of(text));
  REQUIRE_MESSAGE(decoded, (decoded ? "" : decoded.error().what()));
  REQUIRE(*decoded);
  return **decoded;
}

template <typename T>
void patch(std::vector<std::uint8_t>& bytes, std::size_t offset, T value) {
  REQUIRE(offset + sizeof value <= bytes.size());
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

// Where the value of the attribute begins.
std::size_t offset_of(const std::vector<std::uint8_t>& payload, int type) {
  const auto parsed = parse_message<xfrm_usersa_info>(payload);
  return static_cast<std::size_t>(parsed->attributes.find(type)->data() - payload.data());
}

// Ends that are also ends of an attribute: what is cut there is a message of its own.
bool is_whole(Bytes payload, std::size_t struct_size) {
  return payload.size() >= struct_size && Attributes::parse(payload.subspan(struct_size)).has_value();
}

}  // namespace

TEST_CASE("xfrm dump: a transmit state, field by field; of its keys only the digest") {
  const auto report = whole_state(bytes_of(kTransmitState));
  XfrmState expected;
  expected.source = *IpAddress::parse("172.18.0.4");
  expected.destination = *IpAddress::parse("172.18.0.5");
  expected.spi = 0xabc0123;
  expected.reqid = 1;
  expected.if_id = 1;
  expected.mark = XfrmMark{0x23e00, 0xffffff00};
  expected.output_mark = XfrmMark{0xe00, 0xffffffff};
  expected.replay_window = 1024;
  expected.esn = expected.af_unspec = true;
  expected.algorithms = {"rfc4106(gcm(aes))", "", "", 128};
  CHECK(report.state == expected);
  CHECK(report.key_digest == XfrmKeyDigest{190, 0});
  CHECK_FALSE(report.keys_hidden);
  CHECK_FALSE(report.unusual);
  CHECK(report.add_time == 0x6b064c11);
  CHECK(report.use_time == 0);
  CHECK(report.sent_sequence == 0);
}

TEST_CASE("xfrm dump: a state of two algorithms, with a replay window of 32 bits") {
  const auto report = whole_state(bytes_of(kCbcState));
  CHECK(report.state.algorithms == XfrmAlgorithms{"", "hmac(sha256)", "cbc(aes)", 128});
  CHECK(report.state.replay_window == 32);
  CHECK_FALSE(report.state.esn);
  CHECK_FALSE(report.state.mark.has_value());
  CHECK_FALSE(report.state.output_mark.has_value());
  CHECK(report.state.if_id == 0);
  CHECK(report.sent_sequence == 3);
  CHECK(report.received_sequence == 7);
  CHECK(report.key_digest == XfrmKeyDigest{632 % 256, 496 % 256});
  CHECK_FALSE(report.unusual);
}

TEST_CASE("xfrm dump: counters, and sequence numbers of 64 bits") {
  auto bytes = bytes_of(kTransmitState);
  patch(bytes, offsetof(xfrm_usersa_info, curlft), xfrm_lifetime_cur{1ull << 40, 77, 1700000000, 1700000001});
  patch(bytes, offsetof(xfrm_usersa_info, stats), xfrm_stats{4, 5, 6});
  patch(bytes, offset_of(bytes, XFRMA_REPLAY_ESN_VAL), std::array<std::uint32_t, 6>{32, 0xfffffff0, 2, 1, 3, 1024});
  const auto report = whole_state(bytes);
  CHECK(report.bytes == 1ull << 40);
  CHECK(report.packets == 77);
  CHECK(report.add_time == 1700000000);
  CHECK(report.use_time == 1700000001);
  CHECK(report.too_old == 4);
  CHECK(report.replayed == 5);
  CHECK(report.integrity_failed == 6);
  CHECK(report.sent_sequence == 0x1fffffff0);
  CHECK(report.received_sequence == 0x300000002);
}

TEST_CASE("xfrm dump: keys that the kernel hides are flagged and not digested") {
  auto bytes = bytes_of(kTransmitState);
  const auto key_at = offset_of(bytes, XFRMA_ALG_AEAD) + sizeof(xfrm_algo_aead);
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(key_at), 20, std::uint8_t{0});
  auto report = whole_state(bytes);
  CHECK(report.keys_hidden);
  CHECK_FALSE(report.key_digest.has_value());
  bytes[key_at + 19] = 1;
  report = whole_state(bytes);
  CHECK_FALSE(report.keys_hidden);
  CHECK(report.key_digest == XfrmKeyDigest{1, 0});
}

TEST_CASE("xfrm dump: states of another if_id are left out, and their keys are not looked at") {
  const auto bytes = bytes_of(kTransmitState);
  int digested = 0;
  const auto counting = [&](const XfrmKeys& keys) { return ++digested, sums(keys); };
  CHECK(decode_state({XFRM_MSG_NEWSA, bytes}, 1, counting)->has_value());
  CHECK_FALSE(decode_state({XFRM_MSG_NEWSA, bytes}, 2, counting)->has_value());
  CHECK_FALSE(decode_state({XFRM_MSG_NEWSA, bytes_of(kCbcState)}, 1, counting)->has_value());
  CHECK_FALSE(decode_state({XFRM_MSG_NEWPOLICY, bytes}, 1, counting)->has_value());
  CHECK(digested == 1);
  CHECK(policy_of(bytes_of(kTransmitPolicy), 1)->has_value());
  CHECK_FALSE(policy_of(bytes_of(kTransmitPolicy), 2)->has_value());
  CHECK_FALSE(policy_of(bytes_of(kBlockPolicy), 1)->has_value());
}

TEST_CASE("xfrm dump: what has no field is said to be unusual; other protocols are no states of ours") {
  struct Case {
    const char* what;
    std::size_t offset;
    std::uint8_t value;
  };
  const Case cases[] = {{"transport mode", offsetof(xfrm_usersa_info, mode), XFRM_MODE_TRANSPORT},
                        {"a flag", offsetof(xfrm_usersa_info, flags), XFRM_STATE_ESN | XFRM_STATE_NOECN},
                        {"a selector", offsetof(xfrm_usersa_info, sel.prefixlen_d), 24},
                        {"a protocol", offsetof(xfrm_usersa_info, sel.proto), 6},
                        {"a limit of bytes", offsetof(xfrm_usersa_info, lft.hard_byte_limit), 0},
                        {"a limit of time", offsetof(xfrm_usersa_info, lft.soft_use_expires_seconds), 1}};
  for (const auto& [what, offset, value] : cases) {
    CAPTURE(std::string(what));
    auto bytes = bytes_of(kTransmitState);
    patch(bytes, offset, value);
    CHECK(whole_state(bytes).unusual);
  }
  CHECK(whole_state(bytes_of(kTransmitState + "1c000400 00*24")).unusual);       // XFRMA_ENCAP
  CHECK_FALSE(whole_state(bytes_of(kTransmitState + "0c000f00 00*8")).unusual);  // XFRMA_LASTUSED
  auto ah = bytes_of(kTransmitState);
  patch(ah, offsetof(xfrm_usersa_info, id.proto), std::uint8_t{51});
  CHECK_FALSE(state_of(ah)->has_value());
}

TEST_CASE("xfrm dump: policies, field by field") {
  const auto transmit = whole_policy(kTransmitPolicy);
  XfrmPolicy expected;
  expected.source = *Cidr::parse("10.244.1.0/24");
  expected.destination = *Cidr::parse("10.244.2.0/24");
  expected.direction = XfrmDirection::kOut;
  expected.priority = 100;
  expected.if_id = 1;
  expected.mark = XfrmMark{0x23e00, 0xffffff00};
  expected.encryption =
      XfrmTemplate{*IpAddress::parse("172.18.0.4"), *IpAddress::parse("172.18.0.5"), 0xabc0124, 1, false};
  CHECK(transmit.policy == expected);
  CHECK(transmit.index == 1);
  CHECK_FALSE(transmit.unusual);

  const auto forward = whole_policy(kForwardPolicy);
  CHECK(forward.policy.direction == XfrmDirection::kForward);
  CHECK(forward.policy.source.text() == "0.0.0.0/0");
  CHECK(forward.policy.encryption == XfrmTemplate{{}, {}, 0, 1, true});
  CHECK(forward.index == 18);
  CHECK_FALSE(forward.unusual);

  const auto block = whole_policy(kBlockPolicy);
  CHECK(block.policy.action == XfrmAction::kBlock);
  CHECK(block.policy.priority == 4000);
  CHECK_FALSE(block.policy.encryption.has_value());
  CHECK_FALSE(block.unusual);
  CHECK(whole_policy(kPortPolicy).unusual);
}

TEST_CASE("xfrm dump: policies of sockets are left out; a second template is unusual") {
  auto bytes = bytes_of(kForwardPolicy);
  patch(bytes, offsetof(xfrm_userpolicy_info, dir), std::uint8_t{3});
  CHECK_FALSE(policy_of(bytes)->has_value());
  const std::string header = kForwardPolicy.substr(0, kForwardPolicy.find("440005"));
  const std::string one = "00*20 3200000002 00*19 0100000001000100 ff*12 ";
  CHECK_FALSE(whole_policy(header + "44000500 " + one).unusual);
  CHECK(whole_policy(header + "84000500 " + one + one).unusual);
  CHECK_FALSE(policy_of(bytes_of(header + "46000500 " + one + "0000 0000")).has_value());
}

TEST_CASE("xfrm dump: a message that ends too early is refused") {
  for (const std::string& text : {kTransmitState, kCbcState}) {
    const auto bytes = bytes_of(text);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      CAPTURE(size);
      const Bytes cut = Bytes(bytes).first(size);
      const auto decoded = state_of(cut);
      CHECK(decoded.has_value() == is_whole(cut, sizeof(xfrm_usersa_info)));
    }
  }
  for (const std::string& text : {kTransmitPolicy, kForwardPolicy, kPortPolicy}) {
    const auto bytes = bytes_of(text);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      CAPTURE(size);
      const Bytes cut = Bytes(bytes).first(size);
      CHECK(policy_of(cut).has_value() == is_whole(cut, sizeof(xfrm_userpolicy_info)));
    }
  }
}

TEST_CASE("xfrm dump: attributes that lie about what is in them are refused") {
  struct Case {
    const char* what;
    int type;
    std::size_t offset;
    std::uint32_t value;
  };
  const Case cases[] = {{"a key longer than its attribute", XFRMA_ALG_AEAD, 64, 168},
                        {"a key shorter than its attribute", XFRMA_ALG_AEAD, 64, 152},
                        {"a key of a size that overflows", XFRMA_ALG_AEAD, 64, 0xffffffff},
                        {"a bitmap longer than its attribute", XFRMA_REPLAY_ESN_VAL, 0, 33},
                        {"a bitmap of a size that overflows", XFRMA_REPLAY_ESN_VAL, 0, 0x40000020}};
  for (const auto& [what, type, offset, value] : cases) {
    CAPTURE(std::string(what));
    auto bytes = bytes_of(kTransmitState);
    patch(bytes, offset_of(bytes, type) + offset, value);
    CHECK_FALSE(state_of(bytes).has_value());
  }
  for (const char* wrong : {"0c001500 00*8 0a001500 00*8", "06001f00 00*4", "06001d00 00*4", "06001e00 00*4",
                            "08001200 00*4", "08000a00 00*4", "08001700 00*4"}) {
    CAPTURE(std::string(wrong));
    CHECK_FALSE(state_of(bytes_of(kTransmitState + wrong)).has_value());
  }
  auto wide = bytes_of(kTransmitPolicy);
  patch(wide, offsetof(xfrm_userpolicy_info, sel.prefixlen_s), std::uint8_t{33});
  CHECK_FALSE(policy_of(wide).has_value());
}

TEST_CASE("xfrm_stat: names and counters; a line that is neither is an error") {
  const auto stat = parse_xfrm_stat({"XfrmInError             \t0", "XfrmInNoStates          \t18446744073709551615"});
  REQUIRE(stat);
  CHECK(*stat == XfrmStat{{"XfrmInError", 0}, {"XfrmInNoStates", 18446744073709551615ull}});
  CHECK(parse_xfrm_stat({})->empty());
  for (const char* wrong : {"", "XfrmInError", "XfrmInError \t", "XfrmInError -1", "XfrmInError 1 2", " 1",
                            "XfrmInError 18446744073709551616"}) {
    CAPTURE(std::string(wrong));
    CHECK_FALSE(parse_xfrm_stat({wrong}).has_value());
  }
}
