// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "loader/base/result.hpp"

namespace sheath::keys {

// Memory for secrets: pages of its own, locked (never swapped), left out of core dumps, wiped before they are given
// back or serve the next secret. It can be moved, not copied; it has no stream operator and no comparison, so that it
// cannot end up in a log by accident.
class SecretBuffer {
 public:
  // `size` zero bytes, 1 at least. Fails where the memory cannot be locked or hidden from core dumps: a key that may
  // reach the disk is not made at all.
  static Result<SecretBuffer> make(std::size_t size);

  SecretBuffer(SecretBuffer&& other) noexcept;
  SecretBuffer& operator=(SecretBuffer&& other) noexcept;
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;
  ~SecretBuffer();

  std::span<std::uint8_t> bytes() { return {data_, size_}; }
  std::span<const std::uint8_t> bytes() const { return {data_, size_}; }
  // The same, as characters.
  std::span<char> chars() { return {reinterpret_cast<char*>(data_), size_}; }
  std::span<const char> chars() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  SecretBuffer(std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  std::uint8_t* data_ = nullptr;  // null after a move from here
  std::size_t size_ = 0;
};

}  // namespace sheath::keys
