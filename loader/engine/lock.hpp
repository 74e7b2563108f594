// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
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

}  // namespace sheath::engine
