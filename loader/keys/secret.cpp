// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/secret.hpp"

#include <openssl/crypto.h>
#include <sys/mman.h>

#include <string>
#include <utility>

namespace sheath::keys {
namespace {

// Says what failed before the mapping is given back, which may change errno.
std::unexpected<Error> give_up(void* pages, std::size_t size, const char* doing, const char* hint) {
  Error error = Error::system(std::string(doing) + " " + std::to_string(size) + " bytes of secret memory", errno);
  if (pages != nullptr) munmap(pages, size);
  return fail(std::move(error).hint(hint));
}

}  // namespace

Result<SecretBuffer> SecretBuffer::make(std::size_t size) {
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return give_up(nullptr, size, "map", "");
  // As mlock does, of which a sanitizer makes nothing.
  if (mlock2(pages, size, 0) != 0) {
    return give_up(pages, size, "lock", "raise the limit of locked memory (ulimit -l), or grant CAP_IPC_LOCK");
  }
  if (madvise(pages, size, MADV_DONTDUMP) != 0) return give_up(pages, size, "hide", "");
  return SecretBuffer(static_cast<std::uint8_t*>(pages), size);
}

SecretBuffer::SecretBuffer(SecretBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SecretBuffer& SecretBuffer::operator=(SecretBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SecretBuffer::~SecretBuffer() {
  if (data_ == nullptr) return;
  OPENSSL_cleanse(data_, size_);
  munmap(data_, size_);
}

}  // namespace sheath::keys
