// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "loader/base/encoding.hpp"
#include "loader/base/file.hpp"
#include "loader/keys/ipsec_key.hpp"
#include "selftests/unit/temporary_folder.hpp"

namespace sheath::keys {
namespace {

const std::string kHex20 = "da630c6acdbef2757ab7f5215b8b1811420e3f61";
const std::string kHex32 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

Result<IpsecKey> parse(const std::string& line) {
  return IpsecKey::parse(std::span<const char>(line.data(), line.size()));
}

std::string line_of(const IpsecKey& key) {
  const auto line = key.line();
  REQUIRE(line.has_value());
  return {line->chars().begin(), line->chars().end()};
}

}  // namespace

TEST_CASE("keys: every form of a key line is read, and written again as it was") {
  const std::string hex28 = kHex20 + "0011223344556677";
  const std::string hex36 = hex28 + "8899aabbccddeeff";
  for (const auto& line : {"3 rfc4106(gcm(aes)) " + kHex20 + " 128", "15 rfc4106(gcm(aes)) " + hex28 + " 96",
                           "1 rfc4106(gcm(aes)) " + hex36 + " 64", "4 rfc7539esp(chacha20,poly1305) " + hex36 + " 128",
                           "5 hmac(sha256) " + kHex32 + " cbc(aes) " + kHex32,
                           "6 hmac(sha512) " + kHex32 + kHex32 + " cbc(aes) " + kHex32}) {
    const auto key = parse(line);
    REQUIRE_MESSAGE(key.has_value(), line);
    CHECK(line_of(*key) == line);
  }
}

TEST_CASE("keys: Cilium's plus sign, 0x, capitals and more blanks are read too") {
  const auto plain = parse("3 rfc4106(gcm(aes)) " + kHex20 + " 128");
  const auto dressed = parse("3+  rfc4106(gcm(aes))\t0xDA630C6ACDBEF2757AB7F5215B8B1811420E3F61 128");
  REQUIRE(plain.has_value());
  REQUIRE(dressed.has_value());
  CHECK(line_of(*plain) == line_of(*dressed));
}

TEST_CASE("keys: a bad line is refused with the field and without a byte of it") {
  struct Row {
    std::string line;
    std::string reason;
  };
  const Row rows[] = {
      {"", "is empty"},
      {"3 rfc4106(gcm(aes)) " + kHex20 + " 128\n4 rfc4106(gcm(aes)) " + kHex20 + " 128", "more than one line"},
      {"3 rfc4106(gcm(aes)) " + kHex20, "has 3 fields"},
      {"3 rfc4106(gcm(aes)) " + kHex20 + " 128 more 1", "has 6 fields"},
      {"0 rfc4106(gcm(aes)) " + kHex20 + " 128", "key ID: not one of 1 to 15"},
      {"16 rfc4106(gcm(aes)) " + kHex20 + " 128", "key ID: not one of 1 to 15"},
      {"x rfc4106(gcm(aes)) " + kHex20 + " 128", "key ID: is not a number"},
      {"3 gcm(aes) " + kHex20 + " 128", "algorithm: not one of rfc4106(gcm(aes))"},
      {kHex20 + " rfc4106(gcm(aes)) 3 128", "key ID: is not a number"},
      {"3 rfc4106(gcm(aes)) " + kHex20.substr(1) + " 128", "key: has 39 hex digits"},
      {"3 rfc4106(gcm(aes)) " + kHex20.substr(2) + " 128", "key: 19 bytes, rfc4106(gcm(aes)) has 20, 28, 36"},
      {"3 rfc4106(gcm(aes)) g" + kHex20.substr(1) + " 128", "key: has other than hex digits"},
      {"3 rfc4106(gcm(aes)) " + std::string(40, '0') + " 128", "key: is all zeros"},
      {"3 rfc4106(gcm(aes)) " + kHex20 + " 127", "ICV: 127 bits"},
      {"3 rfc4106(gcm(aes)) " + kHex20 + " bits", "ICV: is not a number"},
      {"3 hmac(md5) " + kHex32 + " cbc(aes) " + kHex32, "authentication: not one of hmac(sha256)"},
      {"3 hmac(sha1) " + kHex20 + " cbc(aes) " + kHex32, "authentication: not one of hmac(sha256)"},
      {"3 hmac(sha256) " + kHex20 + " cbc(aes) " + kHex32, "authentication key: 20 bytes, hmac(sha256) has 32"},
      {"3 hmac(sha256) " + kHex32 + " cbc(des) " + kHex32, "encryption: not one of cbc(aes)"},
      {"3 hmac(sha256) " + kHex32 + " cbc(aes) " + kHex20, "encryption key: 20 bytes, cbc(aes) has 16, 24, 32"},
  };
  for (const auto& row : rows) {
    const auto key = parse(row.line);
    REQUIRE_MESSAGE(!key.has_value(), row.reason);
    CHECK_MESSAGE(key.error().what().find(row.reason) != std::string::npos, key.error().what());
    CHECK(key.error().kind() == ErrorKind::kMisuse);
    CHECK(key.error().what().find(kHex20.substr(2, 8)) == std::string::npos);
  }
}

TEST_CASE("keys: the largest packet that fits, by algorithm and underlay") {
  const auto gcm = find_aead("rfc4106(gcm(aes))", 20, 128).value();
  CHECK(esp_mtu(gcm, Family::kIpv4, 1500) == 1446);
  CHECK(esp_mtu(gcm, Family::kIpv4, 1450) == 1394);
  CHECK(esp_mtu(gcm, Family::kIpv6, 1500) == 1426);
  const auto cbc = find_auth_cipher("hmac(sha256)", 32, "cbc(aes)", 16).value();
  CHECK(esp_mtu(cbc, Family::kIpv4, 1500) == 1438);
  CHECK(esp_mtu(gcm, Family::kIpv4, 20) == 0);
}

TEST_CASE("keys: a generated key has what was asked for, and no two are alike") {
  for (const std::uint32_t bits : {128u, 192u, 256u}) {
    const auto algorithm = find_aead_by_size("rfc4106(gcm(aes))", bits);
    REQUIRE(algorithm.has_value());
    const auto first = IpsecKey::generate(7, *algorithm);
    const auto second = IpsecKey::generate(7, *algorithm);
    REQUIRE(first.has_value());
    REQUIRE(second.has_value());
    CHECK(first->algorithm().cipher_bits() == bits);
    CHECK(line_of(*first) != line_of(*second));
    CHECK(first->fingerprint().value() != second->fingerprint().value());
    CHECK(first->fingerprint().value().size() == 8);
  }
  CHECK(find_aead_by_size("rfc4106(gcm(aes))", 160).error().what().find("128, 192, 256") != std::string::npos);
  CHECK(next_key_id(15) == 1);
  CHECK(next_key_id(3) == 4);
  CHECK(previous_key_id(1) == 15);
}

TEST_CASE("keys: a key file is followed through a symbolic link, and refused where others may read it") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "..data";
  const auto link = folder.path() / "keys";
  const auto key = parse("3 rfc4106(gcm(aes)) " + kHex20 + " 128");
  REQUIRE(write_file_atomically(file, line_of(*key), 0440).has_value());
  std::filesystem::create_symlink("..data", link);
  CHECK(load_ipsec_key(link).value().id() == 3);
  REQUIRE(chmod(file.c_str(), 0444) == 0);
  const auto refused = load_ipsec_key(link);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().what().find("others than its owner have access (mode 0444)") != std::string::npos);
  CHECK(load_ipsec_key(folder.path() / "none").error().error_number() == ENOENT);
}

TEST_CASE("keys: saving replaces what a link leads to, whole, for its owner only") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "real";
  const auto link = folder.path() / "keys";
  REQUIRE(write_file_atomically(file, "3 rfc4106(gcm(aes)) " + kHex20 + " 128", 0640).has_value());
  std::filesystem::create_symlink("real", link);
  const auto next = IpsecKey::generate(4, find_aead("rfc4106(gcm(aes))", 20, 128).value());
  REQUIRE(save_ipsec_key(link, *next).has_value());
  CHECK(std::filesystem::is_symlink(link));
  CHECK(read_file(file).value() == line_of(*next));
  struct stat info{};
  REQUIRE(stat(file.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
}

TEST_CASE("keys: a digest tells keys apart, and how they are divided does not matter") {
  const std::array<std::uint8_t, 4> bytes{1, 2, 3, 4};
  const auto whole = digest_of({}, bytes).value();
  CHECK(whole == digest_of(std::span(bytes).first(2), std::span(bytes).subspan(2)).value());
  CHECK(whole != digest_of({}, std::span(bytes).first(3)).value());
}

}  // namespace sheath::keys
