// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "loader/base/result.hpp"
#include "loader/keys/ipsec_key.hpp"
#include "loader/keys/wireguard_key.hpp"

namespace sheath::keys {

inline constexpr std::uint32_t kMaxTag = (1u << 28) - 1;

// The SPI of what a node sends: its own tag, and the generation as the last hex digit. Host order.
constexpr std::uint32_t spi_of(std::uint32_t tag, std::uint8_t generation) {
  return tag << 4 | (generation & 0xfu);
}

// One node's part of a generation: an X25519 key pair (RFC 7748), the tag of its SPIs, and the pre-shared key that goes
// into every key it derives.
class Session {
 public:
  struct Fields {
    std::uint8_t generation = 0;
    std::uint32_t tag = 0;                 // 1 to kMaxTag
    std::chrono::nanoseconds drawn_at{0};  // CLOCK_BOOTTIME
  };

  // A fresh one, with a tag that is not in `taken`.
  static Result<Session> draw(std::uint8_t generation, const IpsecKey& psk, const std::set<std::uint32_t>& taken,
                              std::chrono::nanoseconds now);
  Session(const Fields& fields, PrivateKey key, IpsecKey psk)
      : fields_(fields), key_(std::move(key)), psk_(std::move(psk)) {}

  std::uint8_t generation() const { return fields_.generation; }
  std::uint32_t tag() const { return fields_.tag; }
  std::chrono::nanoseconds drawn_at() const { return fields_.drawn_at; }
  const PublicKey& public_key() const { return key_.public_key(); }
  const PrivateKey& private_key() const { return key_; }
  const IpsecKey& psk() const { return psk_; }

 private:
  Fields fields_;
  PrivateKey key_;
  IpsecKey psk_;
};

// Whose packets a key protects.
struct KeyContext {
  std::string own_name;
  std::string peer_name;
  PublicKey peer_session;
  bool operator==(const KeyContext&) const = default;
};

enum class KeyUse : std::uint8_t { kTransmit, kReceive };

// What stands for both keys where keys are compared (KeyDigest).
struct PairDigests {
  KeyDigest transmit{};
  KeyDigest receive{};
};

// Two sessions, this node's and a peer's, and what they have in common.
class Pair {
 public:
  // `own` has to outlive it. A peer's public key that gives the shared secret zero (RFC 7748, 6.1) is refused.
  static Result<Pair> of(const Session& own, KeyContext context);

  // The key of one direction, as long as the algorithm of the pre-shared key needs it:
  //
  //   HKDF-SHA256 (RFC 5869), secret: X25519(own private, peer public), salt: the pre-shared key,
  //   info: "sheath ipsec key 1" and, each with its length as 16 bits before it (network order): sender's name,
  //   receiver's name, sender's session key, receiver's session key, generation (one byte), algorithm
  //
  // Both ends get the same.
  Result<SecretBuffer> key(KeyUse use) const;
  Result<PairDigests> digests() const;

  const Session& own() const { return *own_; }
  const KeyContext& context() const { return context_; }

 private:
  Pair(const Session& own, KeyContext context, SecretBuffer secret)
      : own_(&own), context_(std::move(context)), secret_(std::move(secret)) {}
  Result<KeyDigest> digest(KeyUse use) const;

  const Session* own_;
  KeyContext context_;
  SecretBuffer secret_;  // what the keys of both directions are expanded from
};

}  // namespace sheath::keys
