// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/key_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "loader/base/file.hpp"
#include "loader/base/unique_fd.hpp"
#include "loader/keys/secret_file.hpp"

namespace sheath::keys {
namespace {

namespace fs = std::filesystem;

// Room for a key, its line end and enough more to see that there is too much.
constexpr std::size_t kMaxPrivateKeyFile = 256;

std::string named_private_key(const fs::path& path) {
  return "private key " + path.string();
}

std::unexpected<Error> system_error(std::string_view doing, const fs::path& path) {
  const int number = errno;
  return fail(Error::system(std::string(doing) + " " + named_private_key(path), number));
}

Result<PrivateKey> parse_line(std::span<const char> line) {
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
  const auto content = read_secret_file(
      path, {.what = named_private_key(path), .forbidden = S_IRWXG | S_IRWXO, .max_bytes = kMaxPrivateKeyFile});
  if (!content) return fail(content.error());
  auto key = parse_line(content->trimmed());
  if (!key) {
    return fail(std::move(key.error())
                    .context(named_private_key(path))
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
