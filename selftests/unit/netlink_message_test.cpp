// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/netlink.h>

#include <random>
#include <string>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/message.hpp"
#include "netlink_bytes.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

struct Head {
  std::uint32_t a;
  std::uint16_t b;
};

}  // namespace

TEST_CASE("netlink message: what is put is read back, nests included") {
  Message message(77, NLM_F_EXCL);
  message.put_struct(Head{7, 9});
  message.put_u8(1, 200);
  message.put_u16(2, 0xabcd);
  message.put_u32(3, 0xdeadbeef);
  message.put_string(4, "cilium_wg0");
  {
    auto outer = message.nest(5);
    auto inner = message.nest(6);
    message.put_u32(1, 42);
  }
  message.put_string(4, "the last one counts");
  REQUIRE_FALSE(message.overflowed());

  const auto parsed = parse_message<Head>(payload_of(message));
  REQUIRE(parsed);
  CHECK(parsed->header.a == 7);
  CHECK(parsed->header.b == 9);
  const auto& attributes = parsed->attributes;
  CHECK(attributes.value<std::uint8_t>(1) == std::uint8_t{200});
  CHECK(attributes.value<std::uint16_t>(2) == std::uint16_t{0xabcd});
  CHECK(attributes.u32(3) == 0xdeadbeef);
  CHECK(attributes.string(4) == "the last one counts");
  CHECK(attributes.nested(5)->nested(6)->u32(1) == 42u);
  CHECK(attributes.all().size() == 6);
}

TEST_CASE("netlink message: an absent attribute and one of another size both read as absent") {
  Message message(77);
  message.put_struct(Head{});
  message.put_u16(2, 1);
  const auto parsed = parse_message<Head>(payload_of(message));
  CHECK_FALSE(parsed->attributes.u32(2).has_value());
  CHECK_FALSE(parsed->attributes.u32(9).has_value());
  CHECK(parsed->attributes.nested(9)->all().empty());
}

TEST_CASE("netlink message: an empty nest stays, an unfinished string is no overrun") {
  Message message(77);
  message.put_struct(Head{});
  {
    auto empty = message.nest(1);
  }
  message.put(2, Bytes(reinterpret_cast<const std::uint8_t*>("abc"), 3));
  const auto parsed = parse_message<Head>(payload_of(message));
  CHECK(parsed->attributes.find(1).has_value());
  CHECK(parsed->attributes.string(2) == "abc");
}

TEST_CASE("netlink message: what does not fit is left out, and said") {
  Message message(77, 0, 64);
  message.put_struct(Head{});
  CHECK(message.room() == 64 - sizeof(nlmsghdr) - sizeof(Head));
  message.put_string(1, std::string(100, 'x'));
  CHECK(message.overflowed());
  message.put_u32(2, 5);
  CHECK(message.overflowed());
  CHECK(message.bytes().size() <= 64);
  const auto parsed = parse_message<Head>(payload_of(message));
  CHECK_FALSE(parsed->attributes.find(1).has_value());
  CHECK(parsed->attributes.u32(2) == 5u);
}

TEST_CASE("netlink message: one attribute cannot be longer than its length field counts") {
  Message message(77, 0, 200000);
  message.put_struct(Head{});
  message.put_string(1, std::string(70000, 'x'));
  CHECK(message.overflowed());
}

TEST_CASE("netlink message: every way to cut a message short is an error or reads less, never beyond") {
  Message message(77);
  message.put_struct(Head{1, 2});
  message.put_u32(1, 1);
  message.put_string(2, "abcdef");
  const auto whole = payload_of(message);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    // A copy of exact size, so that the sanitizer sees a read behind it.
    const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const auto parsed = parse_message<Head>(cut);
    if (parsed) CHECK(parsed->attributes.all().size() <= 2);
    if (size < sizeof(Head)) CHECK_FALSE(parsed.has_value());
  }
  const std::vector<std::uint8_t> stray{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 0};
  CHECK_FALSE(parse_message<Head>(stray).has_value());
}

TEST_CASE("netlink message: random bytes end in a list or an error") {
  std::mt19937 random(20);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::uint8_t> bytes(random() % 64);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random() % 24);
    const auto attributes = Attributes::parse(bytes);
    std::size_t total = 0;
    if (attributes) {
      for (const auto& attribute : attributes->all()) total += attribute.value.size() + sizeof(nlattr);
    }
    CHECK(total <= bytes.size());
  }
}
