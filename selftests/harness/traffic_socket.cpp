// SPDX-License-Identifier: Apache-2.0
#include "selftests/harness/traffic_socket.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace sheath::traffic {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress socket_address(const Endpoint& endpoint) {
  SocketAddress result;
  if (endpoint.address.family == Family::kIpv4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    std::memcpy(&in.sin_addr, endpoint.address.bytes.data(), sizeof in.sin_addr);
    std::memcpy(&result.storage, &in, sizeof in);
    result.length = sizeof in;
  } else {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(endpoint.port);
    std::memcpy(&in6.sin6_addr, endpoint.address.bytes.data(), sizeof in6.sin6_addr);
    std::memcpy(&result.storage, &in6, sizeof in6);
    result.length = sizeof in6;
  }
  return result;
}

Result<> set_option(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof value) != 0) return fail(Error::system("set socket option", errno));
  return {};
}

// A datagram socket holds minutes of a test's stream: a reader that gets no processor for a while must not look like a
// network that loses. The forced size is beyond net.core.rmem_max and wants CAP_NET_ADMIN; without it there is the
// default.
void hold_many_datagrams(int fd) {
  constexpr int kBytes = 16 << 20;
  static_cast<void>(set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, kBytes));
}

}  // namespace

Result<UniqueFd> open_server(int type, std::uint16_t port) {
  UniqueFd fd(socket(AF_INET6, type | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::system("open socket", errno));
  if (auto set = set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0); !set) return fail(set.error());
  if (auto set = set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1); !set) return fail(set.error());
  if (type == SOCK_DGRAM) hold_many_datagrams(fd.get());
  const auto any = socket_address({.address = {.family = Family::kIpv6}, .port = port});
  if (bind(fd.get(), any.get(), any.length) != 0) return fail(Error::system("bind", errno));
  if (type == SOCK_STREAM && listen(fd.get(), SOMAXCONN) != 0) return fail(Error::system("listen", errno));
  return fd;
}

Result<UniqueFd> open_client(int type, const Endpoint& to) {
  const auto address = socket_address(to);
  UniqueFd fd(socket(address.storage.ss_family, type | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::system("open socket", errno));
  if (type == SOCK_DGRAM) hold_many_datagrams(fd.get());
  if (connect(fd.get(), address.get(), address.length) != 0) {
    return fail(Error::system("connect to " + to.text(), errno));
  }
  return fd;
}

Result<> send_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail(Error::system("send", errno));
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<std::optional<std::size_t>> receive(int fd, MutableBytes into, std::chrono::milliseconds patience) {
  pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
  const int ready = poll(&waiting, 1, static_cast<int>(patience.count()));
  if (ready < 0) return fail(Error::system("poll", errno));
  if (ready == 0) return std::nullopt;
  const ssize_t got = recv(fd, into.data(), into.size(), 0);
  if (got < 0) return fail(Error::system("receive", errno));
  return static_cast<std::size_t>(got);
}

Result<> set_fragmentation(int fd, Family family, Fragmentation fragmentation) {
  const bool v4 = family == Family::kIpv4;
  switch (fragmentation) {
    case Fragmentation::kByPathMtu:
      return {};
    case Fragmentation::kNever:
      return v4 ? set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
                : set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
    case Fragmentation::kAllowed:
      return v4 ? set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
                : set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
  }
  return {};
}

Result<int> path_mtu(int fd, Family family) {
  const bool v4 = family == Family::kIpv4;
  int mtu = 0;
  socklen_t length = sizeof mtu;
  if (getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu, &length) != 0) {
    return fail(Error::system("read the path MTU", errno));
  }
  return mtu;
}

}  // namespace sheath::traffic
