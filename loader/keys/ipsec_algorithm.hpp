// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"

namespace sheath::keys {

// How ESP packets are protected: one algorithm that encrypts and authenticates (AEAD, RFC 4106 and RFC 7634), or a
// cipher and a hash (RFC 3602, RFC 4868). Names are the kernel's.
struct IpsecAlgorithm {
  std::string aead;  // empty: the next two
  std::string auth;
  std::string cipher;
  std::size_t key_bytes = 0;       // of the AEAD, salt included, or of the cipher
  std::size_t auth_key_bytes = 0;  // 0 with an AEAD
  std::uint32_t icv_bits = 0;      // of the check value in each packet
  std::uint32_t iv_bytes = 0;
  std::uint32_t block_bytes = 0;  // what the encrypted part is padded to

  // Bytes of key material: auth key first, then the cipher's.
  std::size_t total_bytes() const { return key_bytes + auth_key_bytes; }
  // Strength of the cipher, without salt: 128, 192 or 256.
  std::uint32_t cipher_bits() const;
  // "rfc4106(gcm(aes))", "hmac(sha256) cbc(aes)"
  std::string text() const;
  bool operator==(const IpsecAlgorithm&) const = default;
};

// Each refuses, as a misuse that says what there is, a name, a key length or an ICV that is not in the table.
Result<IpsecAlgorithm> find_aead(std::string_view name, std::size_t key_bytes, std::uint32_t icv_bits);
Result<IpsecAlgorithm> find_auth_cipher(std::string_view auth, std::size_t auth_key_bytes, std::string_view cipher,
                                        std::size_t key_bytes);
// An AEAD by the strength of its cipher in bits, with a full check value: what `key generate` makes.
Result<IpsecAlgorithm> find_aead_by_size(std::string_view name, std::uint32_t cipher_bits);

// The largest IP packet that fits, in ESP tunnel mode, into one outer packet of `link_mtu` bytes: RFC 4303, padding to
// the block with two bytes of trailer.
std::uint32_t esp_mtu(const IpsecAlgorithm& algorithm, Family outer, std::uint32_t link_mtu);

}  // namespace sheath::keys
