// SPDX-License-Identifier: Apache-2.0
#include "selftests/harness/traffic_server.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

#include "loader/base/file.hpp"
#include "selftests/harness/traffic_socket.hpp"

namespace sheath::traffic {
namespace {

void echo_stream(UniqueFd connection) {
  std::array<std::byte, 65536> buffer;
  for (;;) {
    const ssize_t got = recv(connection.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    if (!send_all(connection.get(), Bytes(buffer).first(static_cast<std::size_t>(got)))) return;
  }
}

[[noreturn]] void echo_datagrams(const UniqueFd& socket) {
  std::array<std::byte, 65536> buffer;
  for (;;) {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    auto* address = reinterpret_cast<sockaddr*>(&peer);
    const ssize_t got = recvfrom(socket.get(), buffer.data(), buffer.size(), 0, address, &length);
    if (got >= 0) sendto(socket.get(), buffer.data(), static_cast<std::size_t>(got), 0, address, length);
  }
}

// The parent writes the child's process ID and leaves; the child goes on without the parent's terminal and pipes.
Result<> go_into_background(const std::filesystem::path& pid_file) {
  const pid_t child = fork();
  if (child < 0) return fail(Error::system("fork", errno));
  if (child > 0) {
    auto written = write_file_atomically(pid_file, std::to_string(child) + "\n", 0644);
    std::_Exit(written ? 0 : 1);
  }
  setsid();
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null.get(), fd);
  return {};
}

}  // namespace

Result<> serve(std::uint16_t port, const std::optional<std::filesystem::path>& pid_file) {
  auto stream = open_server(SOCK_STREAM, port);
  if (!stream) return fail(std::move(stream.error()).context("serve TCP"));
  auto datagrams = open_server(SOCK_DGRAM, port);
  if (!datagrams) return fail(std::move(datagrams.error()).context("serve UDP"));
  if (pid_file) {
    if (auto gone = go_into_background(*pid_file); !gone) return gone;
  }
  std::thread([&datagrams] { echo_datagrams(*datagrams); }).detach();
  for (;;) {
    UniqueFd connection(accept4(stream->get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) std::thread(echo_stream, std::move(connection)).detach();
  }
}

}  // namespace sheath::traffic
