// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/session.hpp"

#include <openssl/rand.h>

#include <array>
#include <vector>

#include "loader/keys/hmac.hpp"

namespace sheath::keys {
namespace {

constexpr std::string_view kLabel = "sheath ipsec key 1";

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

Result<Pair> Pair::of(const Session& own, KeyContext context) {
  const auto shared = own.private_key().shared_secret(context.peer_session);
  if (!shared) return fail(shared.error());
  auto secret = hkdf_extract(shared->bytes(), own.psk().bytes());
  if (!secret) return fail(std::move(secret.error()));
  return Pair(own, std::move(context), std::move(*secret));
}

Result<SecretBuffer> Pair::key(KeyUse use) const {
  auto out = SecretBuffer::make(own_->psk().algorithm().total_bytes());
  if (!out) return out;
  const auto info = info_of(*own_, context_, use);
  if (auto done = hkdf_expand(secret_.bytes(), info, out->bytes()); !done) return fail(std::move(done.error()));
  return out;
}

Result<KeyDigest> Pair::digest(KeyUse use) const {
  const auto bytes = key(use);
  if (!bytes) return fail(bytes.error());
  const auto auth = own_->psk().algorithm().auth_key_bytes;
  return digest_of(bytes->bytes().first(auth), bytes->bytes().subspan(auth));
}

Result<PairDigests> Pair::digests() const {
  const auto transmit = digest(KeyUse::kTransmit);
  if (!transmit) return fail(transmit.error());
  const auto receive = digest(KeyUse::kReceive);
  if (!receive) return fail(receive.error());
  return PairDigests{*transmit, *receive};
}

}  // namespace sheath::keys
