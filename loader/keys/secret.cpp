// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/secret.hpp"

#include <openssl/crypto.h>
#include <pthread.h>
#include <sys/mman.h>

#include <array>
#include <mutex>
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

Result<void*> map_pages(std::size_t size) {
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return give_up(nullptr, size, "map", "");
  // As mlock does, of which a sanitizer makes nothing.
  if (mlock2(pages, size, 0) != 0) {
    return give_up(pages, size, "lock", "raise the limit of locked memory (ulimit -l), or grant CAP_IPC_LOCK");
  }
  if (madvise(pages, size, MADV_DONTDUMP) != 0) return give_up(pages, size, "hide", "");
  return pages;
}

// Pages that were wiped, still locked and hidden: thousands of keys pass through a few of them.
class SparePages {
 public:
  static constexpr std::size_t kSize = 4096;

  // Null: there is none.
  void* take() {
    const std::scoped_lock lock(mutex_);
    if (count_ == 0) return nullptr;
    return pages_[--count_];
  }
  // False: there are enough, or it is not known who would use it.
  bool keep(void* page) {
    static const bool are_told_of_children = pthread_atfork(nullptr, nullptr, forget) == 0;
    const std::scoped_lock lock(mutex_);
    if (!are_told_of_children || count_ == pages_.size()) return false;
    pages_[count_++] = page;
    return true;
  }

 private:
  // A child has its parent's pages, but not their locks (mlock(2)).
  static void forget();

  std::mutex mutex_;
  std::array<void*, 8> pages_{};
  std::size_t count_ = 0;
};

constinit SparePages spare_pages;

void SparePages::forget() {
  spare_pages.count_ = 0;
}

}  // namespace

Result<SecretBuffer> SecretBuffer::make(std::size_t size) {
  if (size > SparePages::kSize) {
    const auto pages = map_pages(size);
    if (!pages) return fail(pages.error());
    return SecretBuffer(static_cast<std::uint8_t*>(*pages), size);
  }
  void* page = spare_pages.take();
  if (page == nullptr) {
    const auto mapped = map_pages(SparePages::kSize);
    if (!mapped) return fail(mapped.error());
    page = *mapped;
  }
  return SecretBuffer(static_cast<std::uint8_t*>(page), size);
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
  if (size_ > SparePages::kSize) {
    munmap(data_, size_);
  } else if (!spare_pages.keep(data_)) {
    munmap(data_, SparePages::kSize);
  }
}

}  // namespace sheath::keys
