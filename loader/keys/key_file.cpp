// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/key_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "loader/base/file.hpp"
#include "loader/base/unique_fd.hpp"

namespace sheath::keys {
namespace {

namespace fs = std::filesystem;

// Room for a key, its line end and enough more to see that there is too much.
constexpr std::size_t kMaxFile = 256;

std::string named(const fs::path& path) {
  return "private key " + path.string();
}

std::unexpected<Error> system_error(std::string_view doing, const fs::path& path) {
  const int number = errno;
  return fail(Error::system(std::string(doing) + " " + named(path), number));
}

// The permission bits as chmod takes them: 0640.
std::string octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", mode & 07777u);
  return text;
}

Result<> check_kind_and_mode(int fd, const fs::path& path) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return system_error("read", path);
  if (!S_ISREG(info.st_mode)) return fail(Error::misuse(named(path) + ": is not a regular file"));
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(Error::misuse(named(path) + ": others than its owner have access (mode " + octal(info.st_mode) + ")")
                    .hint("chmod 600 " + path.string()));
  }
  return {};
}

// Fills `buffer` as far as the file goes; returns how far.
Result<std::size_t> read_up_to(int fd, std::span<char> buffer, const fs::path& path) {
  std::size_t length = 0;
  while (length < buffer.size()) {
    const ssize_t count = read(fd, buffer.data() + length, buffer.size() - length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read", path);
    if (count == 0) break;
    length += static_cast<std::size_t>(count);
  }
  return length;
}

std::span<const char> without_trailing_space(std::span<const char> text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text = text.first(text.size() - 1);
  }
  return text;
}

Result<PrivateKey> parse_line(std::span<const char> content) {
  const auto line = without_trailing_space(content);
  if (line.empty()) return fail(Error::misuse("is empty"));
  if (std::ranges::find(line, '\n') != line.end()) return fail(Error::misuse("has more than one line"));
  return PrivateKey::parse(line);
}

// A file that has content but no name yet, or a name nobody looks for; gone when it goes out of scope.
class DraftFile {
 public:
  explicit DraftFile(const fs::path& target) : name_(target.string() + ".XXXXXX") {
    fd_ = UniqueFd(mkostemp(name_.data(), O_CLOEXEC));
    if (!fd_) name_.clear();
  }
  DraftFile(const DraftFile&) = delete;
  DraftFile& operator=(const DraftFile&) = delete;
  ~DraftFile() {
    if (!name_.empty()) unlink(name_.c_str());
  }

  bool made() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }
  // Fails with EEXIST where rename() would replace: the first of two writers keeps the name.
  bool link_to(const fs::path& target) const { return link(name_.c_str(), target.c_str()) == 0; }

 private:
  std::string name_;
  UniqueFd fd_;
};

bool write_line(int fd, std::span<const char> text) {
  for (std::span<const char> rest = text; !rest.empty();) {
    const ssize_t count = write(fd, rest.data(), rest.size());
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) rest = rest.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

bool sync_folder(const fs::path& folder) {
  UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // EINVAL: a file system that cannot sync folders.
  return fd && (fsync(fd.get()) == 0 || errno == EINVAL);
}

// Nullopt: another process was faster.
Result<std::optional<PrivateKey>> create(const fs::path& path) {
  const auto folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (auto made = make_directories(folder, 0700); !made) return fail(std::move(made.error()));
  auto key = PrivateKey::generate();
  if (!key) return fail(std::move(key.error()));
  auto text = key->base64();
  if (!text) return fail(std::move(text.error()));
  text->chars()[kKeyCharacters] = '\n';

  const DraftFile draft(path);
  if (!draft.made() || fchmod(draft.fd(), 0600) != 0 || !write_line(draft.fd(), text->chars()) ||
      fsync(draft.fd()) != 0) {
    return system_error("write", path);
  }
  if (!draft.link_to(path)) {
    if (errno == EEXIST) return std::nullopt;
    return system_error("write", path);
  }
  if (!sync_folder(folder)) return system_error("sync", path);
  return std::move(*key);
}

}  // namespace

Result<PrivateKey> load_private_key(const fs::path& path) {
  // O_NONBLOCK: a FIFO in the place of the file must not block us before we see that it is one.
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return system_error("read", path);
  if (auto checked = check_kind_and_mode(fd.get(), path); !checked) return fail(std::move(checked.error()));
  auto content = SecretBuffer::make(kMaxFile);
  if (!content) return fail(std::move(content.error()).context("read " + named(path)));
  const auto length = read_up_to(fd.get(), content->chars(), path);
  if (!length) return fail(length.error());
  auto key = parse_line(content->chars().first(*length));
  if (!key) {
    return fail(std::move(key.error())
                    .context(named(path))
                    .hint("put back the right file, or remove this one: the node then makes itself a new key"));
  }
  return key;
}

Result<PrivateKey> load_or_create_private_key(const fs::path& path) {
  auto key = load_private_key(path);
  if (key || key.error().error_number() != ENOENT) return key;
  auto made = create(path);
  if (!made) return fail(std::move(made.error()));
  if (*made) return std::move(**made);
  return load_private_key(path);
}

}  // namespace sheath::keys
