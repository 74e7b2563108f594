// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/xfrm.h>

#include <cerrno>
#include <numeric>

#include "loader/netlink/xfrm_codec.hpp"
#include "netlink_bytes.hpp"

// The bytes are what iproute2 6.1.0 sent for the command in front of them, on 6.1 and 6.12 alike.

using namespace sheath;
using namespace sheath::netlink;

namespace {

struct Case {
  const char* command;
  Result<Message> message;
  std::uint16_t type;
  std::size_t struct_size;
  const char* expected;
};

void check(const Case& one) {
  CAPTURE(std::string(one.command));
  REQUIRE(one.message);
  CHECK_FALSE(one.message->overflowed());
  CHECK(type_of(*one.message) == one.type);
  CHECK(described(payload_of(*one.message), one.struct_size) == described(bytes_of(one.expected), one.struct_size));
}

// first, first + 1, ...
std::vector<std::uint8_t> made_up_key(std::size_t size, std::uint8_t first = 0) {
  std::vector<std::uint8_t> out(size);
  std::iota(out.begin(), out.end(), first);
  return out;
}

XfrmState state(const char* source, const char* destination, std::uint32_t spi, XfrmAlgorithms algorithms) {
  XfrmState out;
  out.source = ip(source);
  out.destination = ip(destination);
  out.spi = spi;
  out.reqid = 1;
  out.algorithms = std::move(algorithms);
  return out;
}

XfrmState aead_state(const char* source, const char* destination, std::uint32_t replay_window) {
  XfrmState out = state(source, destination, 0xabc0123, {"rfc4106(gcm(aes))", "", "", 128});
  out.if_id = 1;
  out.replay_window = replay_window;
  out.esn = out.af_unspec = true;
  return out;
}

XfrmState transmit_state() {
  XfrmState out = aead_state("172.18.0.4", "172.18.0.5", 1024);
  out.mark = XfrmMark{0x23e00, 0xffffff00};
  out.output_mark = XfrmMark{0xe00, 0xffffffff};
  return out;
}

XfrmPolicy policy(const char* source, const char* destination, XfrmDirection direction) {
  XfrmPolicy out;
  out.source = *Cidr::parse(source);
  out.destination = *Cidr::parse(destination);
  out.direction = direction;
  out.if_id = 1;
  return out;
}

XfrmPolicy transmit_policy(const char* source, const char* destination, std::uint32_t spi) {
  XfrmPolicy out = policy(source, destination, XfrmDirection::kOut);
  out.priority = 100;
  out.mark = XfrmMark{0x23e00, 0xffffff00};
  out.encryption = XfrmTemplate{ip("172.18.0.4"), ip("172.18.0.5"), spi, 1, false};
  return out;
}

XfrmPolicy receive_policy(const char* everything, XfrmDirection direction) {
  XfrmPolicy out = policy(everything, everything, direction);
  out.encryption = XfrmTemplate{{}, {}, 0, 1, true};
  return out;
}

}  // namespace

TEST_CASE("xfrm: states are added as iproute2 adds them") {
  const auto aead_key = made_up_key(20), authentication_key = made_up_key(32), encryption_key = made_up_key(16, 0x20);
  const XfrmKeys aead{aead_key, {}};
  XfrmState receive = aead_state("fd00::4", "fd00::5", 128);
  receive.output_mark = XfrmMark{0x20d00, 0xffffffff};
  XfrmState cbc = state("172.18.0.4", "172.18.0.5", 0xabc0124, {"", "hmac(sha256)", "cbc(aes)", 128});
  cbc.replay_window = 32;

  check(
      {"ip xfrm state add src 172.18.0.4 dst 172.18.0.5 proto esp spi 0xabc0123 reqid 1 mode tunnel if_id 1"
       " mark 0x23e00 mask 0xffffff00 output-mark 0xe00 mask 0xffffffff replay-window 1024 flag esn af-unspec"
       " aead 'rfc4106(gcm(aes))' 0x00010203… 128",
       encode_add_state(transmit_state(), aead), XFRM_MSG_NEWSA, sizeof(xfrm_usersa_info),
       "00*56 ac120005 00*12 0abc012332000000ac120004 00*12 ff*32 00*80 0100000002000100a0 00*7 "
       "60001200726663343130362867636d286165732929 00*47 a0000000800000000001020304050607 "
       "08090a0b0c0d0e0f10111213 "
       "1c00170020 00*20 040000 "
       "0c001500003e020000ffffff "
       "08001f0001000000 "
       "08001d00000e0000 "
       "08001e00ffffffff "});
  check(
      {"ip xfrm state add src fd00::4 dst fd00::5 proto esp spi 0xabc0123 reqid 1 mode tunnel if_id 1"
       " output-mark 0x20d00 mask 0xffffffff replay-window 128 flag esn af-unspec"
       " aead 'rfc4106(gcm(aes))' 0x00010203… 128",
       encode_add_state(receive, aead), XFRM_MSG_NEWSA, sizeof(xfrm_usersa_info),
       "00*56 fd 00*14 050abc012332000000fd 00*14 04 ff*32 00*80 010000000a000100a0 00*7 "
       "60001200726663343130362867636d286165732929 00*47 a0000000800000000001020304050607 "
       "08090a0b0c0d0e0f10111213 "
       "1c00170004 00*19 80000000 "
       "08001f0001000000 "
       "08001d00000d0200 "
       "08001e00ffffffff "});
  check(
      {"ip xfrm state add src 172.18.0.4 dst 172.18.0.5 proto esp spi 0xabc0124 reqid 1 mode tunnel"
       " replay-window 32 auth-trunc 'hmac(sha256)' 0x00010203… 128 enc 'cbc(aes)' 0x20212223…",
       encode_add_state(cbc, {encryption_key, authentication_key}), XFRM_MSG_NEWSA, sizeof(xfrm_usersa_info),
       "00*56 ac120005 00*12 0abc012432000000ac120004 00*12 ff*32 00*80 0100000002000120 00*8 "
       "6c001400686d61632873686132353629 00*53 01000080000000000102030405060708 "
       "090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f "
       "580002006362632861657329 00*56 80000000202122232425262728292a2b2c2d2e2f "});
}

TEST_CASE("xfrm: a replay window has a bitmap of its own with ESN and above 32 packets, in words rounded up") {
  XfrmState wide = transmit_state();
  wide.replay_window = 1000;
  const auto bitmap_words = [](const XfrmState& of) {
    const auto key = made_up_key(20);
    const auto message = encode_add_state(of, {key, {}});
    const auto parsed = parse_message<xfrm_usersa_info>(payload_of(*message));
    const auto replay = parsed->attributes.find(XFRMA_REPLAY_ESN_VAL);
    return replay ? std::optional<unsigned>((*replay)[0]) : std::nullopt;
  };
  CHECK(bitmap_words(wide) == 32u);
  wide.esn = false;
  CHECK(bitmap_words(wide) == 32u);
  wide.replay_window = 33;
  CHECK(bitmap_words(wide) == 2u);
  wide.replay_window = 32;
  CHECK_FALSE(bitmap_words(wide).has_value());
  wide.esn = true;
  CHECK(bitmap_words(wide) == 1u);
}

TEST_CASE("xfrm: policies are added and updated as iproute2 does it") {
  XfrmPolicy block = policy("10.244.0.0/16", "10.244.0.0/16", XfrmDirection::kOut);
  block.priority = 4000;
  block.if_id = 0;
  block.action = XfrmAction::kBlock;
  constexpr std::size_t kSize = sizeof(xfrm_userpolicy_info);

  check(
      {"ip xfrm policy add src 10.244.1.0/24 dst 10.244.2.0/24 dir out priority 100 if_id 1 mark 0x23e00"
       " mask 0xffffff00 tmpl src 172.18.0.4 dst 172.18.0.5 proto esp spi 0xabc0123 reqid 1 mode tunnel",
       encode_add_policy(transmit_policy("10.244.1.0/24", "10.244.2.0/24", 0xabc0123)), XFRM_MSG_NEWPOLICY, kSize,
       "0af402 00*13 0af401 00*21 02001818 00*12 ff*32 00*64 64 00*7 01 00*7 "
       "44000500ac120005 00*12 0abc01233200000002000000ac120004 00*12 0100000001000000 ff*12 "
       "0c001500003e020000ffffff "
       "08001f0001000000 "});
  check(
      {"ip xfrm policy add src fd00:10:1::/64 dst fd00:10:2::/64 dir out priority 100 if_id 1 mark 0x23e00"
       " mask 0xffffff00 tmpl src 172.18.0.4 dst 172.18.0.5 proto esp spi 0xabc0123 reqid 1 mode tunnel",
       encode_add_policy(transmit_policy("fd00:10:1::/64", "fd00:10:2::/64", 0xabc0123)), XFRM_MSG_NEWPOLICY, kSize,
       "fd0000100002 00*10 fd0000100001 00*18 0a004040 00*12 ff*32 00*64 64 00*7 01 00*7 "
       "44000500ac120005 00*12 0abc01233200000002000000ac120004 00*12 0100000001000000 ff*12 "
       "0c001500003e020000ffffff "
       "08001f0001000000 "});
  check({"ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir fwd if_id 1 tmpl proto esp reqid 1 mode tunnel level use",
         encode_add_policy(receive_policy("0.0.0.0/0", XfrmDirection::kForward)), XFRM_MSG_NEWPOLICY, kSize,
         "00*40 02 00*15 ff*32 00*72 02 00*7 "
         "440005 00*21 3200000002 00*19 0100000001000100 ff*12 "
         "08001f0001000000 "});
  check({"ip xfrm policy add src ::/0 dst ::/0 dir in if_id 1 tmpl proto esp reqid 1 mode tunnel level use",
         encode_add_policy(receive_policy("::/0", XfrmDirection::kIn)), XFRM_MSG_NEWPOLICY, kSize,
         "00*40 0a 00*15 ff*32 00*80 "
         "440005 00*21 320000000a 00*19 0100000001000100 ff*12 "
         "08001f0001000000 "});
  check({"ip xfrm policy add src 10.244.0.0/16 dst 10.244.0.0/16 dir out priority 4000 action block",
         encode_add_policy(block), XFRM_MSG_NEWPOLICY, kSize,
         "0af4 00*14 0af4 00*22 02001010 00*12 ff*32 00*64 a00f 00*6 0101 00*6 "});
  check(
      {"ip xfrm policy update src 10.244.1.0/24 dst 10.244.2.0/24 dir out priority 100 if_id 1 mark 0x23e00"
       " mask 0xffffff00 tmpl src 172.18.0.4 dst 172.18.0.5 proto esp spi 0xabc0124 reqid 1 mode tunnel",
       encode_update_policy(transmit_policy("10.244.1.0/24", "10.244.2.0/24", 0xabc0124)), XFRM_MSG_UPDPOLICY, kSize,
       "0af402 00*13 0af401 00*21 02001818 00*12 ff*32 00*64 64 00*7 01 00*7 "
       "44000500ac120005 00*12 0abc01243200000002000000ac120004 00*12 0100000001000000 ff*12 "
       "0c001500003e020000ffffff "
       "08001f0001000000 "});
}

// iproute2 adds the source of a state (XFRMA_SRCADDR), which the kernel reads for protocols without an SPI only.
TEST_CASE("xfrm: states and policies are deleted as iproute2 deletes them") {
  check({"ip xfrm policy delete src 10.244.1.0/24 dst 10.244.2.0/24 dir out if_id 1 mark 0x23e00 mask 0xffffff00",
         encode_delete_policy(transmit_policy("10.244.1.0/24", "10.244.2.0/24", 0xabc0123)), XFRM_MSG_DELPOLICY,
         sizeof(xfrm_userpolicy_id),
         "0af402 00*13 0af401 00*21 02001818 00*16 01000000 "
         "0c001500003e020000ffffff "
         "08001f0001000000 "});
  check({"ip xfrm policy delete src ::/0 dst ::/0 dir in if_id 1",
         encode_delete_policy(receive_policy("::/0", XfrmDirection::kIn)), XFRM_MSG_DELPOLICY,
         sizeof(xfrm_userpolicy_id),
         "00*40 0a 00*23 "
         "08001f0001000000 "});
  check({"ip xfrm state delete src 172.18.0.4 dst 172.18.0.5 proto esp spi 0xabc0123 mark 0x23e00 mask 0xffffff00",
         encode_delete_state(transmit_state()), XFRM_MSG_DELSA, sizeof(xfrm_usersa_id),
         "ac120005 00*12 0abc012302003200 "
         "0c001500003e020000ffffff "});
  check({"ip xfrm state delete src fd00::4 dst fd00::5 proto esp spi 0xabc0123",
         encode_delete_state(aead_state("fd00::4", "fd00::5", 128)), XFRM_MSG_DELSA, sizeof(xfrm_usersa_id),
         "fd 00*14 050abc01230a003200 "});
}

TEST_CASE("xfrm: what the kernel's structs cannot hold is refused, and not cut") {
  const auto key = made_up_key(20);
  const auto refused = [&](const XfrmState& of) { return !encode_add_state(of, {key, {}}).has_value(); };
  const auto changed = [](auto change) {
    XfrmState out = transmit_state();
    change(out);
    return out;
  };
  CHECK_FALSE(refused(transmit_state()));
  CHECK(refused(changed([](XfrmState& s) { s.source = ip("fd00::4"); })));
  CHECK(refused(changed([](XfrmState& s) { s.replay_window = 4097; })));
  CHECK(refused(changed([](XfrmState& s) { s.algorithms.aead = std::string(64, 'x'); })));
  CHECK_FALSE(refused(changed([](XfrmState& s) { s.algorithms.aead = std::string(63, 'x'); })));
  CHECK(refused(changed([](XfrmState& s) { s.algorithms.aead = ""; })));
  CHECK(refused(changed([](XfrmState& s) { s.algorithms.encryption = "cbc(aes)"; })));

  XfrmPolicy mixed = transmit_policy("10.244.1.0/24", "10.244.2.0/24", 1);
  mixed.encryption->source = ip("fd00::4");
  CHECK_FALSE(encode_add_policy(mixed).has_value());
  mixed = transmit_policy("10.244.1.0/24", "fd00::/64", 1);
  CHECK_FALSE(encode_update_policy(mixed).has_value());
  CHECK_FALSE(encode_delete_policy(mixed).has_value());
}

TEST_CASE("xfrm: an error of an algorithm names it and what to load") {
  struct HintCase {
    const char* what;
    XfrmAlgorithms algorithms;
    int error_number;
    std::vector<std::string> words;
  };
  const HintCase cases[] = {
      {"unknown", {"rfc4106(gcm(aes))", "", "", 128}, ENOSYS, {"rfc4106(gcm(aes))", "modprobe -a gcm", "seqiv"}},
      {"a part is missing, on 6.1", {"rfc4106(gcm(aes))", "", "", 128}, ENOENT, {"drbg", "jitterentropy_rng"}},
      {"chacha", {"rfc7539esp(chacha20,poly1305)", "", "", 128}, ENOSYS, {"modprobe -a chacha20poly1305"}},
      {"two", {"", "hmac(sha256)", "cbc(aes)", 128}, ENOSYS, {"hmac(sha256) with cbc(aes)", "authenc"}},
      {"one that nobody knows", {"rfc4106(gcm9(sm4))", "", "", 128}, ENOSYS, {"rfc4106(gcm9(sm4))"}},
      {"no ESP", {"rfc4106(gcm(aes))", "", "", 128}, EPROTONOSUPPORT, {"CONFIG_INET_ESP;", "modprobe esp4"}}};
  for (const auto& [what, algorithms, error_number, words] : cases) {
    CAPTURE(what);
    const auto hint = add_state_hint(state("172.18.0.4", "172.18.0.5", 1, algorithms), error_number);
    CAPTURE(hint);
    for (const auto& word : words) CHECK(hint.find(word) != std::string::npos);
  }
  CHECK(add_state_hint(aead_state("fd00::4", "fd00::5", 1), EPROTONOSUPPORT).find("esp6") != std::string::npos);
  CHECK(add_state_hint(transmit_state(), EEXIST).empty());
  CHECK(add_state_hint(state("172.18.0.4", "172.18.0.5", 1, {"gcm9", "", "", 1}), ENOSYS).find("modprobe") ==
        std::string::npos);
}
