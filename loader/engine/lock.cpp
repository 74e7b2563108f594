// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cstdlib>
#include <iterator>
#include <thread>

#include "loader/base/file.hpp"

namespace sheath::engine {
namespace {

constexpr std::chrono::milliseconds kLockPollInterval{50};

// A holder that removes the file leaves those who wait with a lock on a file that has no name any more.
bool still_named(int fd, const std::filesystem::path& path) {
  struct stat held{};
  struct stat named{};
  return fstat(fd, &held) == 0 && stat(path.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

}  // namespace

Result<RunLock> RunLock::acquire(const std::filesystem::path& run_folder, std::chrono::milliseconds patience) {
  if (auto made = make_directories(run_folder); !made) return fail(std::move(made.error()));
  const auto path = run_folder / "lock";
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail(Error::system("open " + path.string(), errno));
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      if (still_named(fd.get(), path)) return RunLock(path, std::move(fd));
      continue;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return fail(Error::system("lock " + path.string(), errno));
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(Error("another sheath is changing this node (it holds " + path.string() + ")")
                      .hint("wait for it, then run this again"));
    }
    std::this_thread::sleep_for(kLockPollInterval);
  }
}

void RunLock::remove_file() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
  std::filesystem::remove(path_.parent_path(), ignored);
}

namespace {

constexpr int kAttempts = 10;  // whoever looks has it for a moment

// Zero when it holds no number.
int read_pid(const std::filesystem::path& path) {
  const auto content = read_file(path, 64);
  return content ? std::atoi(content->c_str()) : 0;  // NOLINT(cert-err34-c): 0 is the answer for what is no number
}

}  // namespace

Result<ProcessLock> ProcessLock::acquire(const std::filesystem::path& run_folder, const std::string& name) {
  if (auto made = make_directories(run_folder); !made) return fail(std::move(made.error()));
  const auto path = run_folder / (name + ".lock");
  for (int attempt = 1;; ++attempt) {
    UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!fd) return fail(Error::system("open " + path.string(), errno));
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return fail(Error::system("lock " + path.string(), errno));
      if (attempt < kAttempts) {
        std::this_thread::sleep_for(kLockPollInterval / 2);
        continue;
      }
      return fail(
          Error("another " + name + " runs on this node: process " + std::to_string(read_pid(path)) + " holds " +
                path.string())
              .hint("one node, one " + name + ": nodes that share a machine have a paths.run of their own each"));
    }
    if (!still_named(fd.get(), path)) continue;
    const auto pid = std::to_string(getpid()) + "\n";
    if (ftruncate(fd.get(), 0) != 0 || write(fd.get(), pid.data(), pid.size()) != std::ssize(pid))
      return fail(Error::system("write " + path.string(), errno));
    return ProcessLock(path, std::move(fd));
  }
}

ProcessLock::Holder ProcessLock::look(const std::filesystem::path& run_folder, const std::string& name) {
  const auto path = run_folder / (name + ".lock");
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  if (flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return {State::kDied, read_pid(path)};
  return errno == EWOULDBLOCK ? Holder{State::kRuns, read_pid(path)} : Holder{};
}

void ProcessLock::remove_stale(const std::filesystem::path& run_folder) {
  for (const std::string name : {kAgentLock, kMonitorLock, kTraceLock}) {
    std::error_code ignored;
    if (look(run_folder, name).state != State::kDied) continue;
    std::filesystem::remove(run_folder / (name + ".sock"), ignored);
    std::filesystem::remove(run_folder / (name + ".lock"), ignored);
  }
}

ProcessLock::~ProcessLock() {
  if (!fd_) return;
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace sheath::engine
