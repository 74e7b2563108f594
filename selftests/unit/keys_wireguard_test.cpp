// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "loader/base/encoding.hpp"
#include "loader/keys/wireguard_key.hpp"

using sheath::base64_encode;
using sheath::hex_decode;
using sheath::hex_encode;
using sheath::keys::PrivateKey;
using sheath::keys::PublicKey;

namespace {

struct Pair {
  const char* who;
  const char* private_hex;
  const char* public_hex;
};

// RFC 7748, section 6.1.
constexpr Pair kPairs[] = {
    {"Alice", "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
     "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"},
    {"Bob", "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
     "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"},
};

std::string base64_of(const char* hex) {
  return base64_encode(*hex_decode(hex));
}

}  // namespace

TEST_CASE("private key: the public half is the one of RFC 7748") {
  for (const auto& pair : kPairs) {
    CAPTURE(pair.who);
    const auto key = PrivateKey::parse(base64_of(pair.private_hex));
    REQUIRE(key);
    CHECK(hex_encode(key->public_key().bytes) == pair.public_hex);
  }
}

TEST_CASE("private key: is clamped, as WireGuard keeps it") {
  const auto key = PrivateKey::parse(base64_of(kPairs[0].private_hex));
  REQUIRE(key);
  CHECK(hex_encode(key->bytes()) == "70076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c6a");
}

TEST_CASE("private key: two generated ones differ, each clamped, and survive being written") {
  const auto one = PrivateKey::generate();
  const auto two = PrivateKey::generate();
  REQUIRE(one);
  REQUIRE(two);
  CHECK(one->public_key() != two->public_key());
  CHECK((one->bytes()[0] & 7) == 0);
  CHECK((one->bytes()[31] & 0xc0) == 0x40);

  const auto text = one->base64();
  REQUIRE(text);
  REQUIRE(text->chars().size() == 45);
  const auto again = PrivateKey::parse(text->chars().first(44));
  REQUIRE(again);
  CHECK(again->public_key() == one->public_key());
}

TEST_CASE("public key: is read and written as base64") {
  const auto text = base64_of(kPairs[0].public_hex);
  CHECK(text == "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
  const auto key = PublicKey::parse(text);
  REQUIRE(key);
  CHECK(key->text() == text);
}

TEST_CASE("keys: what is no key is refused, and the message does not repeat it") {
  struct Case {
    const char* what;
    std::string text;
    const char* message;
  };
  const Case cases[] = {
      {"empty", "", "has 0 characters where a WireGuard key has 44"},
      {"truncated", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066S", "has 35 characters where a WireGuard key has 44"},
      {"too long", std::string(45, 'A'), "has 45 characters where a WireGuard key has 44"},
      {"another alphabet", "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo=", "is not 32 bytes in base64"},
      {"white space in front", " hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo", "is not 32 bytes in base64"},
      {"no padding", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmoA", "is not 32 bytes in base64"},
      {"31 bytes", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTg==", "is not 32 bytes in base64"},
      {"stray bits", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmp=", "is not 32 bytes in base64"},
      {"all zero", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "is the all-zero key"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.what);
    const auto public_key = PublicKey::parse(c.text);
    const auto private_key = PrivateKey::parse(c.text);
    REQUIRE(!public_key);
    REQUIRE(!private_key);
    CHECK(public_key.error().what() == c.message);
    CHECK(private_key.error().what() == c.message);
    CHECK(private_key.error().kind() == sheath::ErrorKind::kMisuse);
  }
}
