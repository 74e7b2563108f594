// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"
#include "maps/types.h"

struct ring_buffer;

namespace sheath::bpf {

// The reports of a node's programs, from the pinned ring buffer. What one reader has taken no other one gets: there may
// be one at a time.
class EventStream {
 public:
  using Handler = std::function<void(const sheath_event&)>;

  // What came before is dropped: it may be days old. nullopt: no such map is pinned.
  static Result<std::optional<EventStream>> open(const std::filesystem::path& bpffs);
  EventStream(EventStream&&) noexcept;
  EventStream& operator=(EventStream&&) noexcept;
  ~EventStream();

  // Hands out what there is, and waits for the first within the time. An interrupted wait is no error.
  Result<> wait(std::chrono::milliseconds time, const Handler& handler);

 private:
  struct Close {
    void operator()(ring_buffer* ring) const;
  };

  EventStream() = default;

  UniqueFd fd_;
  std::unique_ptr<Handler> handler_;
  std::unique_ptr<ring_buffer, Close> ring_;
};

}  // namespace sheath::bpf
