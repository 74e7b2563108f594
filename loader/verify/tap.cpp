// SPDX-License-Identifier: Apache-2.0
#include "loader/verify/tap.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace sheath::verify {
namespace {

using Clock = std::chrono::steady_clock;

// Room for some 20,000 frames, which is what a busy node may send between two looks.
constexpr int kReceiveBuffer = 16 << 20;
// Frames shown between two looks at the clock.
constexpr int kFramesAtOnce = 64;

// Short packets, whole; others not at all.
Result<> set_filter(int fd) {
  std::array<sock_filter, 4> code{{
      {BPF_LD | BPF_W | BPF_LEN, 0, 0, 0},
      {BPF_JMP | BPF_JGT | BPF_K, 1, 0, kTapBytes},
      {BPF_RET | BPF_K, 0, 0, kTapBytes},
      {BPF_RET | BPF_K, 0, 0, 0},
  }};
  const sock_fprog program{code.size(), code.data()};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    return fail(Error::system("filter the packet socket", errno));
  }
  return {};
}

Result<bool> wait_readable(int fd, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd poll_fd{fd, POLLIN, 0};
  const int ready = poll(&poll_fd, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
  if (ready < 0 && errno != EINTR) return fail(Error::system("wait for packets", errno));
  return ready > 0;
}

// Whether there was one.
Result<bool> show_one(int fd, const std::function<void(const Frame&)>& show) {
  std::array<std::uint8_t, kTapBytes> bytes;
  sockaddr_ll from{};
  socklen_t length = sizeof from;
  const auto size = recvfrom(fd, bytes.data(), bytes.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &length);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  // A device that went down says so once, and the others are still there.
  if (size < 0 && errno == ENETDOWN) return true;
  if (size < 0) return fail(Error::system("read packets", errno));
  show({static_cast<std::uint32_t>(from.sll_ifindex), from.sll_pkttype == PACKET_OUTGOING,
        std::span(bytes).first(static_cast<std::size_t>(size))});
  return true;
}

}  // namespace

Result<Tap> Tap::open() {
  // Protocol 0 until the filter is there, so that nothing comes in before.
  UniqueFd fd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::system("open packet socket", errno).hint("needs CAP_NET_RAW"));
  if (auto set = set_filter(fd.get()); !set) return fail(std::move(set.error()));
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer);
  sockaddr_ll all{};
  all.sll_family = AF_PACKET;
  all.sll_protocol = htons(ETH_P_ALL);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&all), sizeof all) != 0) {
    return fail(Error::system("bind packet socket", errno));
  }
  return Tap(std::move(fd));
}

Result<> Tap::watch(std::chrono::milliseconds time, const std::function<void(const Frame&)>& show) {
  const auto deadline = Clock::now() + time;
  do {
    const auto readable = wait_readable(fd_.get(), deadline);
    if (!readable) return fail(readable.error());
    bool more = *readable;
    for (int i = 0; i < kFramesAtOnce && more; ++i) {
      const auto shown = show_one(fd_.get(), show);
      if (!shown) return fail(shown.error());
      more = *shown;
    }
  } while (Clock::now() < deadline);
  return {};
}

Result<std::uint32_t> Tap::lost() {
  tpacket_stats stats{};
  socklen_t length = sizeof stats;
  if (getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &length) != 0) {
    return fail(Error::system("read the packet socket's losses", errno));
  }
  return stats.tp_drops;
}

}  // namespace sheath::verify
