// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <numeric>
#include <string>
#include <vector>

#include "loader/base/encoding.hpp"

using namespace sheath;

namespace {

std::vector<std::uint8_t> bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

struct Case {
  const char* plain;
  const char* base64;
  const char* hex;
};

// RFC 4648, section 10.
constexpr Case kCases[] = {
    {"", "", ""},
    {"f", "Zg==", "66"},
    {"fo", "Zm8=", "666f"},
    {"foo", "Zm9v", "666f6f"},
    {"foob", "Zm9vYg==", "666f6f62"},
    {"fooba", "Zm9vYmE=", "666f6f6261"},
    {"foobar", "Zm9vYmFy", "666f6f626172"},
};

}  // namespace

TEST_CASE("encoding: the vectors of RFC 4648 in both directions") {
  for (const auto& [plain, base64, hex] : kCases) {
    CAPTURE(plain);
    CHECK(base64_encode(bytes_of(plain)) == base64);
    CHECK(base64_decode(base64) == bytes_of(plain));
    CHECK(hex_encode(bytes_of(plain)) == hex);
    CHECK(hex_decode(hex) == bytes_of(plain));
  }
}

TEST_CASE("encoding: every byte value survives, also the digits + and /") {
  std::vector<std::uint8_t> all(256);
  std::iota(all.begin(), all.end(), std::uint8_t{0});
  const auto text = base64_encode(all);
  CHECK(text.find('+') != std::string::npos);
  CHECK(text.find('/') != std::string::npos);
  CHECK(base64_decode(text) == all);
  CHECK(hex_decode(hex_encode(all)) == all);
}

TEST_CASE("encoding: base64 that is not canonical is refused") {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zg==Zg==", "Zh==", "Zm9=", "Zm9v\n", " Zm9v",
                           "Zm-v", "Zm_v", "Zm=v", "Zm9v=", "Z\x80=="}) {
    CAPTURE(text);
    CHECK_FALSE(base64_decode(text).has_value());
  }
}

TEST_CASE("encoding: hex of an odd length or with other characters is refused, upper case is not") {
  for (const char* text : {"6", "666", "6g", "0x66", "6 ", "66 6"}) {
    CAPTURE(text);
    CHECK_FALSE(hex_decode(text).has_value());
  }
  CHECK(hex_decode("aBCd") == std::vector<std::uint8_t>{0xab, 0xcd});
}
