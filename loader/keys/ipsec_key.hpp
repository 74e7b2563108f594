// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "loader/base/result.hpp"
#include "loader/keys/ipsec_algorithm.hpp"
#include "loader/keys/secret.hpp"

namespace sheath::keys {

inline constexpr std::uint8_t kMaxKeyId = 15;

// 1, 2, …, 15, 1.
constexpr std::uint8_t next_key_id(std::uint8_t id) {
  return id >= kMaxKeyId ? 1 : static_cast<std::uint8_t>(id + 1);
}
constexpr std::uint8_t previous_key_id(std::uint8_t id) {
  return id <= 1 ? kMaxKeyId : static_cast<std::uint8_t>(id - 1);
}

// A hash that stands for a state's key where keys are compared: nothing of the key can be told from it. Of an AEAD,
// `auth` is empty.
using KeyDigest = std::array<std::uint8_t, 16>;
Result<KeyDigest> digest_of(std::span<const std::uint8_t> auth, std::span<const std::uint8_t> cipher);

// The pre-shared key of a key file: an ID, an algorithm, and as many secret bytes as the algorithm's keys have.
class IpsecKey {
 public:
  // One line, as the lab and Cilium write it:
  //
  //   3 rfc4106(gcm(aes)) <hex key> 128          ID, algorithm, key, bits of the ICV
  //   3 hmac(sha256) <hex key> cbc(aes) <hex key>  ID, authentication and its key, encryption and its key
  //
  // "3+" is the same as "3": Cilium's sign for a key per pair of nodes, which is what Sheath always derives. Errors are
  // misuses that name the field, and hold nothing of the line: what stands in the wrong place may be the key.
  static Result<IpsecKey> parse(std::span<const char> line);
  static Result<IpsecKey> generate(std::uint8_t id, const IpsecAlgorithm& algorithm);
  // A copy, also in secret memory.
  Result<IpsecKey> copy() const;

  std::uint8_t id() const { return id_; }
  const IpsecAlgorithm& algorithm() const { return algorithm_; }
  std::span<const std::uint8_t> bytes() const { return secret_.bytes(); }
  // The line without a line end, in secret memory.
  Result<SecretBuffer> line() const;
  // Eight hex digits, for people to compare two files by.
  Result<std::string> fingerprint() const;

 private:
  IpsecKey(std::uint8_t id, IpsecAlgorithm algorithm, SecretBuffer secret)
      : id_(id), algorithm_(std::move(algorithm)), secret_(std::move(secret)) {}

  std::uint8_t id_;
  IpsecAlgorithm algorithm_;
  SecretBuffer secret_;
};

// Reads the key file. It may be a symbolic link, as in a mounted Secret; what it leads to has to be a regular file that
// others than its owner and group cannot read, with one line. Errors name file and field.
Result<IpsecKey> load_ipsec_key(const std::filesystem::path& path);
// Replaces the file (mode 0600) in one rename. Of a symbolic link, what it leads to.
Result<> save_ipsec_key(const std::filesystem::path& path, const IpsecKey& key);

}  // namespace sheath::keys
