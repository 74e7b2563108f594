// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

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

}  // namespace sheath::engine
