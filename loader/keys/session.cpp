// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/session.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

namespace sheath::keys {
namespace {

constexpr std::string_view kLabel = "sheath ipsec key 1";
constexpr std::size_t kSharedSecret = 32;
constexpr std::size_t kMacSize = 32;

using EvpKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Result<std::uint32_t> draw_tag(const std::set<std::uint32_t>& taken) {
  for (;;) {
    std::uint32_t value = 0;
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&value), sizeof value) != 1) {
      return fail("draw an SPI tag: OpenSSL has no random numbers");
    }
    value &= kMaxTag;
    // SPIs below 256 are reserved (RFC 4303, 2.1): tags below 16 would make them.
    if (value >= 16 && !taken.contains(value)) return value;
  }
}

// X25519 fails by itself where the result is all zeros.
Result<SecretBuffer> shared_secret(const PrivateKey& own, const PublicKey& peer) {
  const EvpKey secret(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, own.bytes().data(), own.bytes().size()),
                      &EVP_PKEY_free);
  const EvpKey remote(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer.bytes.data(), peer.bytes.size()),
                      &EVP_PKEY_free);
  auto out = SecretBuffer::make(kSharedSecret);
  if (!out) return out;
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      secret ? EVP_PKEY_CTX_new(secret.get(), nullptr) : nullptr, &EVP_PKEY_CTX_free);
  std::size_t size = kSharedSecret;
  if (!context || !remote || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer(context.get(), remote.get()) != 1 ||
      EVP_PKEY_derive(context.get(), out->bytes().data(), &size) != 1 || size != kSharedSecret) {
    return fail("the peer's session key is no usable point of X25519");
  }
  return out;
}

void put_field(std::vector<std::uint8_t>& out, std::span<const std::uint8_t> field) {
  out.push_back(static_cast<std::uint8_t>(field.size() >> 8));
  out.push_back(static_cast<std::uint8_t>(field.size()));
  out.insert(out.end(), field.begin(), field.end());
}

std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::vector<std::uint8_t> info_of(const Session& own, const KeyContext& context, KeyUse use) {
  const bool sends = use == KeyUse::kTransmit;
  const auto& sender = sends ? context.own_name : context.peer_name;
  const auto& receiver = sends ? context.peer_name : context.own_name;
  const auto& sender_key = sends ? own.public_key() : context.peer_session;
  const auto& receiver_key = sends ? context.peer_session : own.public_key();
  const std::array<std::uint8_t, 1> generation{own.generation()};
  const auto algorithm = own.psk().algorithm().text();

  std::vector<std::uint8_t> out(kLabel.begin(), kLabel.end());
  put_field(out, as_bytes(sender));
  put_field(out, as_bytes(receiver));
  put_field(out, sender_key.bytes);
  put_field(out, receiver_key.bytes);
  put_field(out, generation);
  put_field(out, as_bytes(algorithm));
  return out;
}

// The first half of RFC 5869. OpenSSL 3.0 does both halves in one call, but leaves its copy of the salt unwiped, and
// the salt is the pre-shared key; of an HMAC's key it wipes its copy.
Result<SecretBuffer> extract(const SecretBuffer& secret, std::span<const std::uint8_t> salt) {
  auto out = SecretBuffer::make(kMacSize);
  if (!out) return out;
  unsigned int size = kMacSize;
  if (HMAC(EVP_sha256(), salt.data(), static_cast<int>(salt.size()), secret.bytes().data(), secret.bytes().size(),
           out->bytes().data(), &size) == nullptr) {
    return fail("OpenSSL has no HMAC-SHA256");
  }
  return out;
}

// The second half.
Result<> expand(const SecretBuffer& pseudo_random, std::span<const std::uint8_t> info, std::span<std::uint8_t> out) {
  const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr), &EVP_KDF_free);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr,
                                                                          &EVP_KDF_CTX_free);
  const auto octets = [](const char* name, std::span<const std::uint8_t> bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()), bytes.size());
  };
  char digest[] = "SHA256";
  char mode[] = "EXPAND_ONLY";
  const std::array parameters{OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                              OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode, 0),
                              octets(OSSL_KDF_PARAM_KEY, pseudo_random.bytes()), octets(OSSL_KDF_PARAM_INFO, info),
                              OSSL_PARAM_construct_end()};
  if (!context || EVP_KDF_derive(context.get(), out.data(), out.size(), parameters.data()) != 1) {
    return fail("OpenSSL has no HKDF-SHA256");
  }
  return {};
}

}  // namespace

Result<Session> Session::draw(std::uint8_t generation, const IpsecKey& psk, const std::set<std::uint32_t>& taken,
                              std::chrono::nanoseconds now) {
  const auto tag = draw_tag(taken);
  if (!tag) return fail(tag.error());
  auto key = PrivateKey::generate();
  if (!key) return fail(std::move(key.error()));
  auto copy = psk.copy();
  if (!copy) return fail(std::move(copy.error()));
  return Session({generation, *tag, now}, std::move(*key), std::move(*copy));
}

namespace {

// What the keys of both directions are expanded from.
Result<SecretBuffer> pair_secret(const Session& own, const KeyContext& context) {
  const auto secret = shared_secret(own.private_key(), context.peer_session);
  if (!secret) return fail(secret.error());
  return extract(*secret, own.psk().bytes());
}

Result<SecretBuffer> key_from(const SecretBuffer& pair_secret, const Session& own, const KeyContext& context,
                              KeyUse use) {
  auto out = SecretBuffer::make(own.psk().algorithm().total_bytes());
  if (!out) return out;
  const auto info = info_of(own, context, use);
  if (auto done = expand(pair_secret, info, out->bytes()); !done) return fail(std::move(done.error()));
  return out;
}

Result<KeyDigest> digest_from(const SecretBuffer& pair_secret, const Session& own, const KeyContext& context,
                              KeyUse use) {
  const auto key = key_from(pair_secret, own, context, use);
  if (!key) return fail(key.error());
  const auto auth = own.psk().algorithm().auth_key_bytes;
  return digest_of(key->bytes().first(auth), key->bytes().subspan(auth));
}

}  // namespace

Result<SecretBuffer> derive_key(const Session& own, const KeyContext& context, KeyUse use) {
  const auto secret = pair_secret(own, context);
  if (!secret) return fail(secret.error());
  return key_from(*secret, own, context, use);
}

Result<PairDigests> derive_digests(const Session& own, const KeyContext& context) {
  const auto secret = pair_secret(own, context);
  if (!secret) return fail(secret.error());
  const auto transmit = digest_from(*secret, own, context, KeyUse::kTransmit);
  if (!transmit) return fail(transmit.error());
  const auto receive = digest_from(*secret, own, context, KeyUse::kReceive);
  if (!receive) return fail(receive.error());
  return PairDigests{*transmit, *receive};
}

}  // namespace sheath::keys
