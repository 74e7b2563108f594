// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/hmac.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <memory>

namespace sheath::keys {
namespace {

using Context = std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)>;

// One with the hash set and a key that is nobody's, to make others of: its hash was looked up. Null: there is none.
Context make_model() {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  Context context(mac == nullptr ? nullptr : EVP_MAC_CTX_new(mac), &EVP_MAC_CTX_free);
  EVP_MAC_free(mac);
  char hash[] = "SHA256";
  const std::array parameters{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0),
                              OSSL_PARAM_construct_end()};
  const std::array<unsigned char, kMacSize> zeros{};
  if (context && EVP_MAC_init(context.get(), zeros.data(), zeros.size(), parameters.data()) != 1) context.reset();
  return context;
}

Context make_context() {
  static const Context model = make_model();
  return {model ? EVP_MAC_CTX_dup(model.get()) : nullptr, &EVP_MAC_CTX_free};
}

}  // namespace

Result<> hmac(std::span<const std::uint8_t> key, std::initializer_list<std::span<const std::uint8_t>> parts,
              std::span<std::uint8_t, kMacSize> out) {
  const auto context = make_context();
  std::size_t size = 0;
  bool done = context && EVP_MAC_init(context.get(), key.data(), key.size(), nullptr) == 1;
  for (const auto part : parts) done = done && EVP_MAC_update(context.get(), part.data(), part.size()) == 1;
  if (!done || EVP_MAC_final(context.get(), out.data(), &size, out.size()) != 1 || size != out.size()) {
    return fail("OpenSSL has no HMAC-SHA256");
  }
  return {};
}

Result<SecretBuffer> hkdf_extract(std::span<const std::uint8_t> secret, std::span<const std::uint8_t> salt) {
  auto out = SecretBuffer::make(kMacSize);
  if (!out) return out;
  if (auto done = hmac(salt, {secret}, out->bytes().first<kMacSize>()); !done) return fail(std::move(done.error()));
  return out;
}

Result<> hkdf_expand(std::span<const std::uint8_t> pseudo_random, std::span<const std::uint8_t> info,
                     std::span<std::uint8_t> out) {
  auto block = SecretBuffer::make(kMacSize);
  if (!block) return fail(std::move(block.error()));
  std::span<const std::uint8_t> before;
  for (std::uint8_t number = 1; !out.empty(); ++number) {
    const std::array<std::uint8_t, 1> counter{number};
    if (auto done = hmac(pseudo_random, {before, info, counter}, block->bytes().first<kMacSize>()); !done) return done;
    before = block->bytes();
    const auto size = std::min(out.size(), kMacSize);
    std::ranges::copy(before.first(size), out.begin());
    out = out.subspan(size);
  }
  return {};
}

}  // namespace sheath::keys
