// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/ipsec_key.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>
#include <vector>

#include "loader/base/encoding.hpp"
#include "loader/base/file.hpp"
#include "loader/keys/secret_file.hpp"

namespace sheath::keys {
namespace {

// Longer than any line of the table: 2 x 64 + 2 x 32 hex digits and the names.
constexpr std::size_t kMaxIpsecKeyFile = 1024;
constexpr std::size_t kSha256 = 32;
constexpr mode_t kKeyFileMode = 0600;

using Field = std::span<const char>;

std::string_view view(Field field) {
  return {field.data(), field.size()};
}

// Views into the line: nothing of it is copied.
std::vector<Field> split(Field line) {
  std::vector<Field> fields;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= line.size(); ++i) {
    if (i < line.size() && line[i] != ' ' && line[i] != '\t') continue;
    if (i > start) fields.push_back(line.subspan(start, i - start));
    start = i + 1;
  }
  return fields;
}

Result<std::uint32_t> parse_digits(Field field) {
  std::uint32_t value = 0;
  const auto* end = field.data() + field.size();
  const auto [stopped, error] = std::from_chars(field.data(), end, value);
  if (error != std::errc{} || stopped != end) return fail(Error::misuse("is not a number"));
  return value;
}

Result<std::uint8_t> parse_id(Field field) {
  if (!field.empty() && field.back() == '+') field = field.first(field.size() - 1);
  const auto value = parse_digits(field);
  if (!value) return fail(Error(value.error()).context("key ID"));
  if (*value < 1 || *value > kMaxKeyId) return fail(Error::misuse("key ID: not one of 1 to 15"));
  return static_cast<std::uint8_t>(*value);
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

// How many bytes the hex digits are. A leading "0x", as `ip xfrm` prints keys, is taken too.
Result<Field> hex_digits(Field field, const std::string& name) {
  if (field.size() >= 2 && field[0] == '0' && (field[1] == 'x' || field[1] == 'X')) field = field.subspan(2);
  if (std::ranges::any_of(field, [](char digit) { return hex_value(digit) < 0; })) {
    return fail(Error::misuse(name + ": has other than hex digits"));
  }
  if (field.empty() || field.size() % 2 != 0) {
    return fail(
        Error::misuse(name + ": has " + std::to_string(field.size()) + " hex digits, which are no whole bytes"));
  }
  return field;
}

void decode(Field digits, std::span<std::uint8_t> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::uint8_t>(hex_value(digits[2 * i]) << 4 | hex_value(digits[2 * i + 1]));
  }
}

void encode(std::span<const std::uint8_t> bytes, std::span<char> out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    out[2 * i] = kDigits[bytes[i] >> 4];
    out[2 * i + 1] = kDigits[bytes[i] & 0xf];
  }
}

struct ParsedLine {
  IpsecAlgorithm algorithm;
  std::vector<Field> digits;  // of the key, or of the authentication key and the encryption key
};

Result<ParsedLine> parse_aead(const std::vector<Field>& fields) {
  const auto digits = hex_digits(fields[2], "key");
  if (!digits) return fail(digits.error());
  const auto icv = parse_digits(fields[3]);
  if (!icv) return fail(Error(icv.error()).context("ICV"));
  auto algorithm = find_aead(view(fields[1]), digits->size() / 2, *icv);
  if (!algorithm) return fail(std::move(algorithm.error()));
  return ParsedLine{std::move(*algorithm), {*digits}};
}

Result<ParsedLine> parse_auth_cipher(const std::vector<Field>& fields) {
  const auto auth = hex_digits(fields[2], "authentication key");
  if (!auth) return fail(auth.error());
  const auto cipher = hex_digits(fields[4], "encryption key");
  if (!cipher) return fail(cipher.error());
  auto algorithm = find_auth_cipher(view(fields[1]), auth->size() / 2, view(fields[3]), cipher->size() / 2);
  if (!algorithm) return fail(std::move(algorithm.error()));
  return ParsedLine{std::move(*algorithm), {*auth, *cipher}};
}

Result<ParsedLine> parse_fields(const std::vector<Field>& fields) {
  if (fields.size() == 4) return parse_aead(fields);
  if (fields.size() == 5) return parse_auth_cipher(fields);
  return fail(Error::misuse("has " + std::to_string(fields.size()) + " fields, a key has 4 or 5")
                  .hint("<id> rfc4106(gcm(aes)) <hex key> 128, as `sheath key generate` prints it"));
}

// What stands for the key where it is compared or shown: label and algorithm are hashed with it.
Result<std::array<std::uint8_t, kSha256>> sha256(std::string_view label, std::span<const std::uint8_t> bytes,
                                                 std::span<const std::uint8_t> more = {}) {
  static EVP_MD* const hash = EVP_MD_fetch(nullptr, "SHA256", nullptr);  // not by its name each time
  std::array<std::uint8_t, kSha256> out{};
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  if (!context || hash == nullptr || EVP_DigestInit_ex(context.get(), hash, nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), label.data(), label.size()) != 1 ||
      EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) != 1 ||
      EVP_DigestUpdate(context.get(), more.data(), more.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), out.data(), nullptr) != 1) {
    return fail("OpenSSL has no SHA-256");
  }
  return out;
}

std::string named_key_file(const std::filesystem::path& path) {
  return "key file " + path.string();
}

}  // namespace

Result<KeyDigest> digest_of(std::span<const std::uint8_t> auth, std::span<const std::uint8_t> cipher) {
  const auto hash = sha256("sheath state key", auth, cipher);
  if (!hash) return fail(hash.error());
  KeyDigest out;
  std::copy_n(hash->begin(), out.size(), out.begin());
  return out;
}

Result<IpsecKey> IpsecKey::parse(std::span<const char> line) {
  if (line.empty()) return fail(Error::misuse("is empty"));
  if (std::ranges::find(line, '\n') != line.end()) return fail(Error::misuse("has more than one line"));
  const auto fields = split(line);
  const auto id = fields.empty() ? Result<std::uint8_t>(0) : parse_id(fields[0]);
  if (!id) return fail(id.error());
  auto parsed = parse_fields(fields);
  if (!parsed) return fail(std::move(parsed.error()));
  auto secret = SecretBuffer::make(parsed->algorithm.total_bytes());
  if (!secret) return fail(std::move(secret.error()));
  auto rest = secret->bytes();
  for (const auto digits : parsed->digits) {
    decode(digits, rest.first(digits.size() / 2));
    rest = rest.subspan(digits.size() / 2);
  }
  if (std::ranges::all_of(secret->bytes(), [](std::uint8_t byte) { return byte == 0; })) {
    return fail(Error::misuse("key: is all zeros"));
  }
  return IpsecKey(*id, std::move(parsed->algorithm), std::move(*secret));
}

Result<IpsecKey> IpsecKey::generate(std::uint8_t id, const IpsecAlgorithm& algorithm) {
  if (id < 1 || id > kMaxKeyId) return fail(Error::misuse("key ID: not one of 1 to 15"));
  auto secret = SecretBuffer::make(algorithm.total_bytes());
  if (!secret) return fail(std::move(secret.error()));
  if (RAND_priv_bytes(secret->bytes().data(), static_cast<int>(secret->bytes().size())) != 1) {
    return fail("make a key: OpenSSL has no random numbers");
  }
  return IpsecKey(id, algorithm, std::move(*secret));
}

Result<IpsecKey> IpsecKey::copy() const {
  auto secret = SecretBuffer::make(bytes().size());
  if (!secret) return fail(std::move(secret.error()));
  std::ranges::copy(bytes(), secret->bytes().begin());
  return IpsecKey(id_, algorithm_, std::move(*secret));
}

Result<SecretBuffer> IpsecKey::line() const {
  const bool aead = !algorithm_.aead.empty();
  const auto first = std::to_string(id_) + " " + (aead ? algorithm_.aead : algorithm_.auth) + " ";
  const auto middle = aead ? "" : " " + algorithm_.cipher + " ";
  const auto last = aead ? " " + std::to_string(algorithm_.icv_bits) : "";
  auto out = SecretBuffer::make(first.size() + 2 * bytes().size() + middle.size() + last.size());
  if (!out) return out;
  auto rest = out->chars();
  const auto put = [&](std::string_view text) {
    std::ranges::copy(text, rest.begin());
    rest = rest.subspan(text.size());
  };
  const auto put_hex = [&](std::span<const std::uint8_t> part) {
    encode(part, rest.first(2 * part.size()));
    rest = rest.subspan(2 * part.size());
  };
  put(first);
  put_hex(bytes().first(aead ? bytes().size() : algorithm_.auth_key_bytes));
  put(middle);
  if (!aead) put_hex(bytes().subspan(algorithm_.auth_key_bytes));
  put(last);
  return out;
}

Result<std::string> IpsecKey::fingerprint() const {
  const auto hash = sha256("sheath key fingerprint " + algorithm_.text() + " ", bytes());
  if (!hash) return fail(hash.error());
  return hex_encode(std::span(*hash).first(4));
}

// Group access is the owner's affair: a mounted Secret with a group has mode 0440.
Result<IpsecKey> load_ipsec_key(const std::filesystem::path& path) {
  const auto content =
      read_secret_file(path, {.what = named_key_file(path), .forbidden = 07, .max_bytes = kMaxIpsecKeyFile});
  if (!content) return fail(content.error());
  if (content->length == kMaxIpsecKeyFile) return fail(Error::misuse(named_key_file(path) + ": is too long for a key"));
  auto key = IpsecKey::parse(content->trimmed());
  if (!key) return fail(std::move(key.error()).context(named_key_file(path)));
  return key;
}

Result<> save_ipsec_key(const std::filesystem::path& path, const IpsecKey& key) {
  const auto line = key.line();
  if (!line) return fail(line.error());
  std::error_code error;
  const auto target = std::filesystem::canonical(path, error);
  const auto& where = error ? path : target;
  return write_file_atomically(where, {line->chars().data(), line->chars().size()}, kKeyFileMode);
}

}  // namespace sheath::keys
