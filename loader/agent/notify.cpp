// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "loader/base/unique_fd.hpp"

namespace sheath::agent {
namespace {

std::optional<std::uint64_t> number(const char* text) {
  if (text == nullptr) return std::nullopt;
  std::uint64_t value = 0;
  const auto* end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

}  // namespace

void notify(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  const auto length = std::strlen(path);
  sockaddr_un address{};
  if (length >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // of the abstract name space
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  // A manager that does not listen is no trouble of ours.
  (void)sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
}

std::optional<std::chrono::milliseconds> watchdog_interval() {
  const auto microseconds = number(std::getenv("WATCHDOG_USEC"));
  const auto process = number(std::getenv("WATCHDOG_PID"));
  if (!microseconds || *microseconds == 0) return std::nullopt;
  if (process && *process != static_cast<std::uint64_t>(getpid())) return std::nullopt;
  return std::chrono::milliseconds(*microseconds / 2000);
}

}  // namespace sheath::agent
