// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/wireguard_key.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "loader/base/encoding.hpp"

namespace sheath::keys {
namespace {

constexpr const char* kNotAKey = "is not 32 bytes in base64";
// EVP_DecodeBlock writes 3 bytes for each 4 characters, EVP_EncodeBlock a final zero.
constexpr std::size_t kDecodeRoom = kKeyCharacters / 4 * 3;
constexpr std::size_t kEncodeRoom = kKeyCharacters + 1;

unsigned char* as_unsigned(char* text) {
  return reinterpret_cast<unsigned char*>(text);
}
const unsigned char* as_unsigned(const char* text) {
  return reinterpret_cast<const unsigned char*>(text);
}

bool all_zero(std::span<const std::uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

std::string wrong_length(std::size_t length) {
  return "has " + std::to_string(length) + " characters where a WireGuard key has " + std::to_string(kKeyCharacters);
}

// RFC 7748, section 5: the scalar is a multiple of the cofactor 8, with bit 254 set.
void clamp(std::span<std::uint8_t> scalar) {
  scalar[0] &= 0xf8;
  scalar[31] = static_cast<std::uint8_t>((scalar[31] & 0x7f) | 0x40);
}

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Handle = std::unique_ptr<EVP_PKEY, Free>;
using Context = std::unique_ptr<EVP_PKEY_CTX, Free>;

Result<PublicKey> compute_public(std::span<const std::uint8_t> private_bytes) {
  const Handle key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, private_bytes.data(), private_bytes.size()));
  PublicKey out;
  std::size_t size = out.bytes.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), out.bytes.data(), &size) != 1 || size != out.bytes.size()) {
    return fail("derive the public key: OpenSSL has no X25519");
  }
  return out;
}

// Remembers the last few by a hash of the private half, of which it can not be told: an agent reads the same keys from
// their files again and again, and this takes a quarter of what it does about one node.
Result<PublicKey> derive_public(std::span<const std::uint8_t> private_bytes) {
  using Hash = std::array<std::uint8_t, SHA256_DIGEST_LENGTH>;
  static constexpr std::size_t kRemembered = 8;
  static std::mutex busy;
  static std::deque<std::pair<Hash, PublicKey>> remembered;
  Hash hash{};
  SHA256(private_bytes.data(), private_bytes.size(), hash.data());
  const std::scoped_lock lock(busy);
  const auto found = std::ranges::find(remembered, hash, &std::pair<Hash, PublicKey>::first);
  if (found != remembered.end()) return found->second;
  auto computed = compute_public(private_bytes);
  if (!computed) return computed;
  if (remembered.size() == kRemembered) remembered.pop_front();
  remembered.emplace_back(hash, *computed);
  return computed;
}

// Of both halves: with the private one alone OpenSSL computes the public one, which takes as long as what it is for.
Handle make_handle(std::span<const std::uint8_t> private_bytes, const PublicKey& public_key) {
  static const Context maker(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", nullptr));
  const auto octets = [](const char* name, std::span<const std::uint8_t> bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()), bytes.size());
  };
  std::array parameters{octets(OSSL_PKEY_PARAM_PUB_KEY, public_key.bytes),
                        octets(OSSL_PKEY_PARAM_PRIV_KEY, private_bytes), OSSL_PARAM_construct_end()};
  EVP_PKEY* key = nullptr;
  if (!maker || EVP_PKEY_fromdata_init(maker.get()) != 1 ||
      EVP_PKEY_fromdata(maker.get(), &key, EVP_PKEY_KEYPAIR, parameters.data()) != 1) {
    return nullptr;
  }
  return Handle(key);
}

}  // namespace

Result<PublicKey> PublicKey::parse(std::string_view base64) {
  if (base64.size() != kKeyCharacters) return fail(Error::misuse(wrong_length(base64.size())));
  const auto decoded = base64_decode(base64);
  if (!decoded || decoded->size() != kKeyBytes) return fail(Error::misuse(kNotAKey));
  if (all_zero(*decoded)) return fail(Error::misuse("is the all-zero key"));
  PublicKey key;
  std::ranges::copy(*decoded, key.bytes.begin());
  return key;
}

std::string PublicKey::text() const {
  return base64_encode(bytes);
}

Result<PrivateKey> PrivateKey::adopt(SecretBuffer secret) {
  clamp(secret.bytes());
  const auto public_key = derive_public(secret.bytes());
  if (!public_key) return fail(public_key.error());
  return PrivateKey(std::move(secret), *public_key);
}

// It fails by itself where the result is all zeros. OpenSSL's own form of the key is made each time: it lies on the
// heap, and is wiped when it is freed.
Result<SecretBuffer> PrivateKey::shared_secret(const PublicKey& peer) const {
  auto out = SecretBuffer::make(kKeyBytes);
  if (!out) return out;
  const auto own = make_handle(bytes(), public_key_);
  const Handle remote(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer.bytes.data(), peer.bytes.size()));
  const Context context(own ? EVP_PKEY_CTX_new(own.get(), nullptr) : nullptr);
  std::size_t size = kKeyBytes;
  if (!remote || !context || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer_ex(context.get(), remote.get(), 0) != 1 ||
      EVP_PKEY_derive(context.get(), out->bytes().data(), &size) != 1 || size != kKeyBytes) {
    return fail("the peer's session key is no usable point of X25519");
  }
  return out;
}

Result<PrivateKey> PrivateKey::generate() {
  auto secret = SecretBuffer::make(kKeyBytes);
  if (!secret) return fail(std::move(secret.error()));
  if (RAND_priv_bytes(secret->bytes().data(), kKeyBytes) != 1) {
    return fail("make a private key: OpenSSL has no random numbers");
  }
  return adopt(std::move(*secret));
}

Result<PrivateKey> PrivateKey::from_bytes(std::span<const std::uint8_t, kKeyBytes> bytes) {
  auto secret = SecretBuffer::make(kKeyBytes);
  if (!secret) return fail(std::move(secret.error()));
  std::ranges::copy(bytes, secret->bytes().begin());
  return adopt(std::move(*secret));
}

// Not base64_decode: that one answers in memory that is neither locked nor wiped. OpenSSL's decoder forgives white
// space and stray bits, so what it read is written again and has to be the same text.
Result<PrivateKey> PrivateKey::parse(std::span<const char> base64) {
  if (base64.size() != kKeyCharacters) return fail(Error::misuse(wrong_length(base64.size())));
  auto decoded = SecretBuffer::make(kDecodeRoom);
  if (!decoded) return fail(std::move(decoded.error()));
  auto again = SecretBuffer::make(kEncodeRoom);
  if (!again) return fail(std::move(again.error()));

  auto* const bytes = decoded->bytes().data();
  const bool is_base64 =
      EVP_DecodeBlock(bytes, as_unsigned(base64.data()), kKeyCharacters) == static_cast<int>(kDecodeRoom) &&
      EVP_EncodeBlock(as_unsigned(again->chars().data()), bytes, kKeyBytes) == static_cast<int>(kKeyCharacters) &&
      CRYPTO_memcmp(again->chars().data(), base64.data(), kKeyCharacters) == 0;
  if (!is_base64) return fail(Error::misuse(kNotAKey));
  if (all_zero(decoded->bytes())) return fail(Error::misuse("is the all-zero key"));
  return from_bytes(std::span<const std::uint8_t, kKeyBytes>(bytes, kKeyBytes));
}

Result<SecretBuffer> PrivateKey::base64() const {
  auto text = SecretBuffer::make(kEncodeRoom);
  if (!text) return text;
  EVP_EncodeBlock(as_unsigned(text->chars().data()), bytes().data(), kKeyBytes);
  return text;
}

}  // namespace sheath::keys
