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

// Held in the same way by a process as long as it is what its name says on a node: its "agent", its "monitor", a
// "trace".
inline constexpr const char* kAgentLock = "agent";
inline constexpr const char* kMonitorLock = "monitor";
// As long as somebody holds it, each apply makes the programs report what they do not drop, too.
inline constexpr const char* kTraceLock = "trace";

class ProcessLock {
 public:
  enum class State { kNone, kRuns, kDied };
  struct Holder {
    State state = State::kNone;
    int pid = 0;  // of who has it, or had it to its end; 0: none, or unknown
  };

  // Fails when another process has it, with its process ID.
  static Result<ProcessLock> acquire(const std::filesystem::path& run_folder, const std::string& name);
  // Removes what processes left that died: their locks, and their sockets.
  static void remove_stale(const std::filesystem::path& run_folder);
  static Holder look(const std::filesystem::path& run_folder, const std::string& name);

  ProcessLock(ProcessLock&&) noexcept = default;
  ProcessLock& operator=(ProcessLock&&) noexcept = default;
  // Removes the file.
  ~ProcessLock();

 private:
  ProcessLock(std::filesystem::path path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::filesystem::path path_;
  UniqueFd fd_;
};

}  // namespace sheath::engine
