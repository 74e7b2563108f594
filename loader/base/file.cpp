// SPDX-License-Identifier: Apache-2.0
#include "loader/base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>

#include "loader/base/unique_fd.hpp"

namespace sheath {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> system_error(std::string_view doing, const fs::path& path) {
  const int number = errno;
  return fail(Error::system(std::string(doing) + " " + path.string(), number));
}

Result<> write_all(int fd, std::string_view content, const fs::path& path) {
  while (!content.empty()) {
    const ssize_t count = write(fd, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("write", path);
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<> sync_folder(const fs::path& folder) {
  UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_error("open", folder);
  // Not every file system can sync a folder (EINVAL): the rename is then as durable as it gets.
  if (fsync(fd.get()) != 0 && errno != EINVAL) return system_error("sync", folder);
  return {};
}

// Removes the temporary file unless it was renamed into place.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& target) : name_(target.string() + ".XXXXXX") {
    fd_ = UniqueFd(mkostemp(name_.data(), O_CLOEXEC));
    if (!fd_) name_.clear();
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!name_.empty()) unlink(name_.c_str());
  }

  explicit operator bool() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }

  bool rename_to(const fs::path& target) {
    if (rename(name_.c_str(), target.c_str()) != 0) return false;
    name_.clear();
    return true;
  }

 private:
  std::string name_;
  UniqueFd fd_;
};

}  // namespace

Result<std::string> read_file(const fs::path& path, std::size_t max_bytes) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error("read", path);
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t count = read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read", path);
    if (count == 0) return content;
    content.append(buffer, static_cast<std::size_t>(count));
    if (content.size() > max_bytes) {
      return fail("read " + path.string() + ": larger than " + std::to_string(max_bytes) + " bytes");
    }
  }
}

Result<> write_file_atomically(const fs::path& path, std::string_view content, mode_t mode) {
  TemporaryFile file(path);
  if (!file) return system_error("write", path);
  if (fchmod(file.fd(), mode) != 0) return system_error("chmod", path);
  if (auto written = write_all(file.fd(), content, path); !written) return written;
  if (fsync(file.fd()) != 0) return system_error("sync", path);
  if (!file.rename_to(path)) return system_error("rename to", path);
  const auto folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  return sync_folder(folder);
}

Result<> make_directories(const fs::path& path, mode_t mode) {
  if (path.empty()) return {};
  struct stat info{};
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    return fail(Error::system("make directory " + path.string(), ENOTDIR));
  }
  if (auto parent = make_directories(path.parent_path() == path ? fs::path() : path.parent_path(), mode); !parent) {
    return parent;
  }
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return system_error("make directory", path);
  return {};
}

}  // namespace sheath
