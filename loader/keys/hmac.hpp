// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "loader/base/result.hpp"
#include "loader/keys/secret.hpp"

namespace sheath::keys {

inline constexpr std::size_t kMacSize = 32;

// HMAC-SHA256 (RFC 2104) of the parts one after the other. What OpenSSL keeps of the key meanwhile is wiped.
Result<> hmac(std::span<const std::uint8_t> key, std::initializer_list<std::span<const std::uint8_t>> parts,
              std::span<std::uint8_t, kMacSize> out);

// HKDF-SHA256 (RFC 5869), its two halves. OpenSSL 3.0's own leaves its copy of the salt unwiped, and the salt is the
// pre-shared key; and it looks its hash up by name each time, which takes longer than to compute it.
Result<SecretBuffer> hkdf_extract(std::span<const std::uint8_t> secret, std::span<const std::uint8_t> salt);
// `out` has 255 times kMacSize bytes at most.
Result<> hkdf_expand(std::span<const std::uint8_t> pseudo_random, std::span<const std::uint8_t> info,
                     std::span<std::uint8_t> out);

}  // namespace sheath::keys
