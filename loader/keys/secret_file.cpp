// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/secret_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "loader/base/unique_fd.hpp"

namespace sheath::keys {
namespace {

std::unexpected<Error> system_error(const SecretFileRules& rules) {
  const int number = errno;
  return fail(Error::system("read " + rules.what, number));
}

// The permission bits as chmod takes them: 0640.
std::string octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", mode & 07777u);
  return text;
}

Result<> check_kind_and_mode(int fd, const std::filesystem::path& path, const SecretFileRules& rules) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return system_error(rules);
  if (!S_ISREG(info.st_mode)) return fail(Error::misuse(rules.what + ": is not a regular file"));
  if ((info.st_mode & rules.forbidden) != 0) {
    return fail(Error::misuse(rules.what + ": others than its owner have access (mode " + octal(info.st_mode) + ")")
                    .hint("chmod 600 " + path.string()));
  }
  return {};
}

// Fills `buffer` as far as the file goes; returns how far.
Result<std::size_t> read_up_to(int fd, std::span<char> buffer, const SecretFileRules& rules) {
  std::size_t length = 0;
  while (length < buffer.size()) {
    const ssize_t count = read(fd, buffer.data() + length, buffer.size() - length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(rules);
    if (count == 0) break;
    length += static_cast<std::size_t>(count);
  }
  return length;
}

}  // namespace

std::span<const char> SecretContent::trimmed() const {
  auto out = text();
  while (!out.empty() && (out.back() == '\n' || out.back() == '\r' || out.back() == ' ')) {
    out = out.first(out.size() - 1);
  }
  return out;
}

Result<SecretContent> read_secret_file(const std::filesystem::path& path, const SecretFileRules& rules) {
  // O_NONBLOCK: a FIFO in the place of the file must not block us before we see that it is one.
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return system_error(rules);
  if (auto checked = check_kind_and_mode(fd.get(), path, rules); !checked) return fail(std::move(checked.error()));
  auto buffer = SecretBuffer::make(rules.max_bytes);
  if (!buffer) return fail(std::move(buffer.error()).context("read " + rules.what));
  const auto length = read_up_to(fd.get(), buffer->chars(), rules);
  if (!length) return fail(length.error());
  return SecretContent{std::move(*buffer), *length};
}

}  // namespace sheath::keys
