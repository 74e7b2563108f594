// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"

namespace sheath::engine {

// Held while a node is changed, so that two processes do not mix their steps: a file in the run folder, locked
// (flock(2)); the kernel lets go of it when the process ends, however it ends.
class RunLock {
 public:
  // Waits up to `patience` for another holder, then fails.
  static Result<RunLock> acquire(const std::filesystem::path& run_folder,
                                 std::chrono::milliseconds patience = std::chrono::seconds(5));

  // Removes the lock file while it is held, and the folder if that leaves it empty. The lock is held until the end.
  void remove_file();

 private:
  RunLock(std::filesystem::path path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::filesystem::path path_;
  UniqueFd fd_;
};

// Held by the agent of a node as long as it runs, in the same way.
class AgentLock {
 public:
  enum class State { kNone, kRuns, kDied };
  struct Holder {
    State state = State::kNone;
    int pid = 0;  // of who has it, or had it to its end; 0: none, or unknown
  };

  // Fails when another agent has it, with its process ID.
  static Result<AgentLock> acquire(const std::filesystem::path& run_folder);
  static Holder look(const std::filesystem::path& run_folder);

  AgentLock(AgentLock&&) noexcept = default;
  AgentLock& operator=(AgentLock&&) noexcept = default;
  // Removes the file.
  ~AgentLock();

 private:
  AgentLock(std::filesystem::path path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::filesystem::path path_;
  UniqueFd fd_;
};

}  // namespace sheath::engine
