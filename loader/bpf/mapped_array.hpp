// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "loader/base/result.hpp"

// An array map (BPF_F_MMAPABLE) as memory, to be read: tens of thousands of values without a system call for each.
// Private to this folder.
namespace sheath::bpf {

template <typename Value>
class MappedArray {
 public:
  static Result<MappedArray> open(int fd, std::uint32_t count) {
    const std::size_t size = count * kStride;
    void* memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) return fail(Error::system("map it into memory", errno));
    return MappedArray(static_cast<const std::byte*>(memory), size);
  }

  MappedArray(MappedArray&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)), size_(other.size_) {}
  MappedArray& operator=(MappedArray&&) = delete;
  ~MappedArray() {
    if (memory_ != nullptr) munmap(const_cast<std::byte*>(memory_), size_);
  }

  // The value at this moment; the programs and other writers may change it at any time.
  Value at(std::uint32_t index) const {
    Value value{};
    std::memcpy(&value, memory_ + index * kStride, sizeof value);
    return value;
  }

 private:
  static constexpr std::size_t kStride = (sizeof(Value) + 7) / 8 * 8;  // the kernel aligns array values to 8 bytes

  MappedArray(const std::byte* memory, std::size_t size) : memory_(memory), size_(size) {}

  const std::byte* memory_;
  std::size_t size_;
};

}  // namespace sheath::bpf
