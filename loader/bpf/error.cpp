// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/error.hpp"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace sheath::bpf {
namespace {

constexpr const char* kPermissionHint =
    "run it as root, or with CAP_BPF and CAP_NET_ADMIN (and CAP_SYS_ADMIN to read back what is attached)";
constexpr std::size_t kVerifierLines = 12;

thread_local LogCapture* current = nullptr;

int print(libbpf_print_level level, const char* format, va_list arguments) {
  if (current == nullptr || level == LIBBPF_DEBUG) return 0;
  char* line = nullptr;
  const int length = vasprintf(&line, format, arguments);
  if (length < 0) return 0;
  current->append(line);
  free(line);
  return length;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    if (end != 0) lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

// What the kernel said in a netlink extended ack; empty when it said nothing.
std::string extended_ack(std::string_view log) {
  constexpr std::string_view kBefore = "Kernel error message: ";
  const auto start = log.rfind(kBefore);
  if (start == std::string_view::npos) return {};
  const auto rest = log.substr(start + kBefore.size());
  return std::string(rest.substr(0, rest.find('\n')));
}

// The last lines of the verifier's log, which is where it says why; empty when there is none.
std::string verifier_words(std::string_view log) {
  const auto start = log.find("-- BEGIN PROG LOAD LOG --");
  const auto end = log.find("-- END PROG LOAD LOG --");
  if (start == std::string_view::npos || end == std::string_view::npos || end < start) return {};
  auto lines = lines_of(log.substr(start, end - start));
  if (!lines.empty()) lines.erase(lines.begin());
  if (!lines.empty()) lines.pop_back();  // the half line before END
  std::string words = "the verifier's last words:";
  const auto skip = lines.size() - std::min(lines.size(), kVerifierLines);
  for (const auto& line : std::vector(lines.begin() + static_cast<std::ptrdiff_t>(skip), lines.end())) {
    words.append("\n  ").append(line);
  }
  return words;
}

}  // namespace

LogCapture::LogCapture() : outer_(current) {
  current = this;
  libbpf_set_print(print);
}

LogCapture::~LogCapture() {
  current = outer_;
}

Error kernel_error(std::string_view doing, int error_number) {
  const int number = std::abs(error_number);
  auto error = Error::system(doing, number);
  if (number == EPERM || number == EACCES) return std::move(error).hint(kPermissionHint);
  return error;
}

Error kernel_error(std::string_view doing, int error_number, const LogCapture& log) {
  const auto said = extended_ack(log.text());
  auto error = kernel_error(said.empty() ? std::string(doing) : std::string(doing) + ": " + said, error_number);
  const auto words = verifier_words(log.text());
  return words.empty() ? error : std::move(error).hint(words);
}

}  // namespace sheath::bpf
