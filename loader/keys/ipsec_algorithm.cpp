// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/ipsec_algorithm.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace sheath::keys {
namespace {

struct Aead {
  std::string_view name;
  std::span<const std::size_t> key_bytes;  // with 4 bytes of salt
  std::span<const std::uint32_t> icv_bits;
};

struct Auth {
  std::string_view name;
  std::size_t key_bytes;   // the length of the hash (RFC 4868, 2.1.1)
  std::uint32_t icv_bits;  // half of it
};

constexpr std::size_t kSalt = 4;
constexpr std::array<std::size_t, 3> kGcmKeys{20, 28, 36};
constexpr std::array<std::size_t, 1> kChachaKeys{36};
constexpr std::array<std::uint32_t, 3> kGcmIcvs{128, 96, 64};
constexpr std::array<std::uint32_t, 1> kChachaIcvs{128};
constexpr std::array<std::size_t, 3> kCbcKeys{16, 24, 32};
constexpr std::string_view kCbc = "cbc(aes)";

constexpr std::array kAeads{
    Aead{"rfc4106(gcm(aes))", kGcmKeys, kGcmIcvs},
    Aead{"rfc7539esp(chacha20,poly1305)", kChachaKeys, kChachaIcvs},
};
constexpr std::array kAuths{
    Auth{"hmac(sha256)", 32, 128},
    Auth{"hmac(sha384)", 48, 192},
    Auth{"hmac(sha512)", 64, 256},
};

template <typename Number>
std::string listed(std::span<const Number> numbers) {
  std::string out;
  for (const auto number : numbers) out += (out.empty() ? "" : ", ") + std::to_string(number);
  return out;
}

template <typename Rows>
std::string names_of(const Rows& rows) {
  std::string out;
  for (const auto& row : rows) out += (out.empty() ? "" : ", ") + std::string(row.name);
  return out;
}

bool contains(std::span<const std::size_t> list, std::size_t value) {
  return std::ranges::find(list, value) != list.end();
}

// A name from a file may be a key in the wrong place: it is not repeated.
std::unexpected<Error> unknown(const std::string& what, const std::string& known) {
  return fail(Error::misuse(what + ": not one of " + known));
}

Result<const Aead*> find_row(std::string_view name) {
  const auto found = std::ranges::find(kAeads, name, &Aead::name);
  if (found == kAeads.end()) return unknown("algorithm", names_of(kAeads));
  return &*found;
}

IpsecAlgorithm make_aead(const Aead& row, std::size_t key_bytes, std::uint32_t icv_bits) {
  IpsecAlgorithm out;
  out.aead = row.name;
  out.key_bytes = key_bytes;
  out.icv_bits = icv_bits;
  out.iv_bytes = 8;
  out.block_bytes = 4;
  return out;
}

}  // namespace

std::uint32_t IpsecAlgorithm::cipher_bits() const {
  return static_cast<std::uint32_t>((aead.empty() ? key_bytes : key_bytes - kSalt) * 8);
}

std::string IpsecAlgorithm::text() const {
  return aead.empty() ? auth + " " + cipher : aead;
}

Result<IpsecAlgorithm> find_aead(std::string_view name, std::size_t key_bytes, std::uint32_t icv_bits) {
  const auto row = find_row(name);
  if (!row) return fail(row.error());
  if (!contains((*row)->key_bytes, key_bytes)) {
    return fail(Error::misuse("key: " + std::to_string(key_bytes) + " bytes, " + std::string(name) + " has " +
                              listed((*row)->key_bytes)));
  }
  if (std::ranges::find((*row)->icv_bits, icv_bits) == (*row)->icv_bits.end()) {
    return fail(Error::misuse("ICV: " + std::to_string(icv_bits) + " bits, " + std::string(name) + " has " +
                              listed((*row)->icv_bits)));
  }
  return make_aead(**row, key_bytes, icv_bits);
}

Result<IpsecAlgorithm> find_auth_cipher(std::string_view auth, std::size_t auth_key_bytes, std::string_view cipher,
                                        std::size_t key_bytes) {
  const auto row = std::ranges::find(kAuths, auth, &Auth::name);
  if (row == kAuths.end()) return unknown("authentication", names_of(kAuths));
  if (auth_key_bytes != row->key_bytes) {
    return fail(Error::misuse("authentication key: " + std::to_string(auth_key_bytes) + " bytes, " + std::string(auth) +
                              " has " + std::to_string(row->key_bytes)));
  }
  if (cipher != kCbc) return unknown("encryption", std::string(kCbc));
  if (!contains(kCbcKeys, key_bytes)) {
    return fail(Error::misuse("encryption key: " + std::to_string(key_bytes) + " bytes, " + std::string(kCbc) +
                              " has " + listed(std::span<const std::size_t>(kCbcKeys))));
  }
  IpsecAlgorithm out;
  out.auth = auth;
  out.cipher = cipher;
  out.key_bytes = key_bytes;
  out.auth_key_bytes = auth_key_bytes;
  out.icv_bits = row->icv_bits;
  out.iv_bytes = 16;
  out.block_bytes = 16;
  return out;
}

Result<IpsecAlgorithm> find_aead_by_size(std::string_view name, std::uint32_t cipher_bits) {
  const auto row = find_row(name);
  if (!row) return fail(row.error());
  const std::size_t key_bytes = cipher_bits / 8 + kSalt;
  if (cipher_bits % 8 != 0 || !contains((*row)->key_bytes, key_bytes)) {
    std::string sizes;
    for (const auto bytes : (*row)->key_bytes)
      sizes += (sizes.empty() ? "" : ", ") + std::to_string((bytes - kSalt) * 8);
    return fail(
        Error::misuse("size: " + std::to_string(cipher_bits) + " bits, " + std::string(name) + " has " + sizes));
  }
  return make_aead(**row, key_bytes, (*row)->icv_bits.front());
}

std::uint32_t esp_mtu(const IpsecAlgorithm& algorithm, Family outer, std::uint32_t link_mtu) {
  constexpr std::uint32_t kEspHeader = 8;  // SPI and sequence number
  constexpr std::uint32_t kTrailer = 2;    // pad length and next header
  const std::uint32_t ip_header = outer == Family::kIpv4 ? 20 : 40;
  const std::uint32_t fixed = ip_header + kEspHeader + algorithm.iv_bytes + algorithm.icv_bits / 8;
  if (link_mtu < fixed + algorithm.block_bytes) return 0;
  return (link_mtu - fixed) / algorithm.block_bytes * algorithm.block_bytes - kTrailer;
}

}  // namespace sheath::keys
