// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "loader/base/result.hpp"
#include "loader/keys/secret.hpp"

namespace sheath::keys {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kKeyCharacters = 44;  // as base64, with its one '='

// A WireGuard public key: 32 bytes of Curve25519 (RFC 7748), written as 44 characters of base64.
struct PublicKey {
  std::array<std::uint8_t, kKeyBytes> bytes{};

  // Refuses anything but 44 characters of base64 for 32 bytes, and the all-zero key. The error does not repeat the
  // text: what was pasted in the wrong place may have been a private key.
  static Result<PublicKey> parse(std::string_view base64);
  std::string text() const;
  auto operator<=>(const PublicKey&) const = default;
};

// The private half, in secret memory, with its public half beside it.
class PrivateKey {
 public:
  // A fresh one from the system's random numbers.
  static Result<PrivateKey> generate();
  // Takes a copy, clamped as X25519 clamps (RFC 7748, section 5).
  static Result<PrivateKey> from_bytes(std::span<const std::uint8_t, kKeyBytes> bytes);
  // 44 characters of base64. Errors say what is wrong and hold no part of the text.
  static Result<PrivateKey> parse(std::span<const char> base64);

  const PublicKey& public_key() const { return public_key_; }
  // 32 bytes, clamped. Not to be copied into memory that is not wiped.
  std::span<const std::uint8_t> bytes() const { return secret_.bytes(); }
  // 44 characters and a final zero, in secret memory.
  Result<SecretBuffer> base64() const;
  // X25519 (RFC 7748) with a peer's key. One that gives zero (6.1) is refused.
  Result<SecretBuffer> shared_secret(const PublicKey& peer) const;

 private:
  PrivateKey(SecretBuffer secret, const PublicKey& public_key) : secret_(std::move(secret)), public_key_(public_key) {}
  // `secret` has 32 bytes.
  static Result<PrivateKey> adopt(SecretBuffer secret);

  SecretBuffer secret_;
  PublicKey public_key_;
};

}  // namespace sheath::keys
