// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/bpf/error.hpp"

// A map as rows of fixed types, in batches where the kernel has them for that map type. Private to this folder.
namespace sheath::bpf {

// What a kernel says that has no batch operations for a map type (524 is its own ENOTSUPP), or whose batch lost its
// place because others wrote meanwhile (EINTR).
inline bool needs_single_steps(int error_number) {
  return error_number == 524 || error_number == EOPNOTSUPP || error_number == EINVAL || error_number == EINTR;
}

template <typename Key, typename Value>
class Table {
 public:
  using Row = std::pair<Key, Value>;

  // `fd` stays the caller's.
  Table(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  Result<std::vector<Row>> dump() const {
    auto rows = dump_batches();
    return rows || !needs_single_steps(rows.error().error_number()) ? std::move(rows) : dump_one_by_one();
  }

  // nullopt when there is no such row.
  Result<std::optional<Value>> find(const Key& key) const {
    Value value{};
    if (bpf_map_lookup_elem(fd_, &key, &value) == 0) return value;
    if (errno == ENOENT) return std::nullopt;
    return fail(error("read", errno));
  }

  Result<> set(std::span<const Row> rows) {
    if (rows.empty()) return {};
    std::vector<Key> keys;
    std::vector<Value> values;
    for (const auto& [key, value] : rows) {
      keys.push_back(key);
      values.push_back(value);
    }
    auto count = static_cast<std::uint32_t>(rows.size());
    if (bpf_map_update_batch(fd_, keys.data(), values.data(), &count, nullptr) == 0) return {};
    if (!needs_single_steps(errno)) return fail(error("write", errno));
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (bpf_map_update_elem(fd_, &keys[i], &values[i], BPF_ANY) != 0) return fail(error("write", errno));
    }
    return {};
  }

  Result<> erase(const Key& key) {
    if (bpf_map_delete_elem(fd_, &key) == 0 || errno == ENOENT) return {};
    return fail(error("delete from", errno));
  }

 private:
  static constexpr std::uint32_t kBatch = 1024;

  Error error(std::string_view doing, int number) const {
    return kernel_error(std::string(doing) + " map " + name_, number);
  }

  // The kernel keeps its place in a cursor that is a bucket number or a key. ENOSPC means that one hash bucket holds
  // more than the batch: take a larger one.
  Result<std::vector<Row>> dump_batches() const {
    struct alignas(8) Cursor {
      char bytes[std::max(sizeof(Key), sizeof(std::uint64_t))];
    } in{}, out{};
    std::vector<Row> rows;
    std::vector<Key> keys(kBatch);
    std::vector<Value> values(kBatch);
    for (bool first = true;;) {
      auto count = static_cast<std::uint32_t>(keys.size());
      const int failed =
          bpf_map_lookup_batch(fd_, first ? nullptr : &in, &out, keys.data(), values.data(), &count, nullptr) != 0
              ? errno
              : 0;
      if (failed == ENOSPC) {
        keys.resize(keys.size() * 2);
        values.resize(values.size() * 2);
        continue;
      }
      if (failed != 0 && failed != ENOENT) return fail(error("read", failed));
      for (std::uint32_t i = 0; i < count; ++i) rows.emplace_back(keys[i], values[i]);
      if (failed == ENOENT) return rows;
      in = out;
      first = false;
    }
  }

  // An entry that goes away between finding its key and reading it is left out.
  Result<std::vector<Row>> dump_one_by_one() const {
    std::vector<Row> rows;
    Key key{};
    Key next{};
    const Key* previous = nullptr;
    while (bpf_map_get_next_key(fd_, previous, &next) == 0) {
      Value value{};
      if (bpf_map_lookup_elem(fd_, &next, &value) == 0) rows.emplace_back(next, value);
      key = next;
      previous = &key;
    }
    if (errno != ENOENT) return fail(error("read", errno));
    return rows;
  }

  int fd_;
  std::string name_;
};

}  // namespace sheath::bpf
