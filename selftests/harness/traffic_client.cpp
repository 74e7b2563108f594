// SPDX-License-Identifier: Apache-2.0
#include "selftests/harness/traffic_client.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

namespace sheath::traffic {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kUdpHeader = 8;

std::vector<std::byte> marked_bytes(const std::string& marker, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(marker[i % marker.size()]);
  return bytes;
}

// Reads until the stream ends or differs from what was sent.
Result<> expect_stream(int fd, Bytes wanted, milliseconds patience) {
  std::array<std::byte, 65536> buffer;
  for (;;) {
    auto got = receive(fd, buffer, patience);
    if (!got) return fail(got.error());
    const auto left = std::to_string(wanted.size()) + " bytes missing";
    if (!*got) return fail("no answer in time, " + left);
    if (**got == 0) return wanted.empty() ? Result<>{} : fail("the stream ended early, " + left);
    const auto chunk = Bytes(buffer).first(**got);
    if (chunk.size() > wanted.size() || !std::ranges::equal(chunk, wanted.first(chunk.size()))) {
      return fail("the answer differs from what was sent");
    }
    wanted = wanted.subspan(chunk.size());
  }
}

Result<> run_connection(const ClientOptions& options, Bytes payload) {
  auto fd = open_client(SOCK_STREAM, options.to);
  if (!fd) return fail(fd.error());
  Result<> sent;
  std::thread sender([&] {
    sent = send_all(fd->get(), payload);
    shutdown(fd->get(), SHUT_WR);
  });
  auto received = expect_stream(fd->get(), payload, options.patience);
  if (!received) shutdown(fd->get(), SHUT_RDWR);
  sender.join();
  return received ? sent : received;
}

// Datagrams carry their number in the first eight bytes (host order: both ends are one machine).
class DatagramSeries {
 public:
  DatagramSeries(int fd, const ClientOptions& options)
      : fd_(fd),
        options_(options),
        payload_(marked_bytes(options.marker, std::max(options.bytes, sizeof tally_.sent))) {}

  Result<> send_next() {
    std::memcpy(payload_.data(), &tally_.sent, sizeof tally_.sent);
    ++tally_.sent;
    // An ICMP error for an earlier datagram is reported here; this one then still has to be sent.
    auto sent = send_all(fd_, payload_);
    if (note_refusal(sent)) sent = send_all(fd_, payload_);
    return sent;
  }

  // Takes answers for that long.
  void collect_for(milliseconds time) {
    const auto deadline = Clock::now() + time;
    for (auto left = time; left.count() > 0; left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now())) {
      take_one(left);
    }
  }

  // Until every datagram is answered or refused, or no answer has come for that long: a server that has fallen behind
  // has lost nothing.
  void collect_rest(milliseconds patience) {
    while (tally_.answered + tally_.refused < tally_.sent && take_one(patience)) {
    }
  }

  const DatagramTally& tally() const { return tally_; }

 private:
  template <typename T>
  bool note_refusal(const Result<T>& result) {
    const bool refused = !result && result.error().error_number() == ECONNREFUSED;
    if (refused) ++tally_.refused;
    return refused;
  }

  // False: nothing came.
  bool take_one(milliseconds patience) {
    auto got = receive(fd_, buffer_, patience);
    if (note_refusal(got)) return true;
    if (!got || !*got) return false;
    if (**got >= sizeof next_) note_answer();
    return true;
  }

  void note_answer() {
    std::uint64_t number = 0;
    std::memcpy(&number, buffer_.data(), sizeof number);
    if (number < next_) ++tally_.reordered;
    next_ = std::max(next_, number + 1);
    ++tally_.answered;
  }

  int fd_;
  const ClientOptions& options_;
  std::vector<std::byte> payload_;
  std::array<std::byte, 65536> buffer_{};
  std::uint64_t next_ = 0;
  DatagramTally tally_;
};

Result<UniqueFd> open_datagrams(const ClientOptions& options, Fragmentation fragmentation) {
  auto fd = open_client(SOCK_DGRAM, options.to);
  if (!fd) return fd;
  if (auto set = set_fragmentation(fd->get(), options.to.address.family, fragmentation); !set) return fail(set.error());
  return fd;
}

bool wants_more(const ClientOptions& options, std::uint64_t sent) {
  return options.until ? !std::filesystem::exists(*options.until) : sent < options.count;
}

}  // namespace

Result<> run_tcp(const ClientOptions& options) {
  const auto payload = marked_bytes(options.marker, options.bytes);
  for (std::uint64_t i = 0; i < options.count; ++i) {
    if (auto done = run_connection(options, payload); !done) return done;
  }
  return {};
}

Result<DatagramTally> run_udp(const ClientOptions& options) {
  auto fd = open_datagrams(options, options.fragmentation);
  if (!fd) return fail(fd.error());
  DatagramSeries series(fd->get(), options);
  while (wants_more(options, series.tally().sent)) {
    if (auto sent = series.send_next(); !sent) return fail(sent.error());
    series.collect_for(options.interval);
  }
  series.collect_rest(options.patience);
  return series.tally();
}

Result<int> learn_path_mtu(const ClientOptions& options) {
  const Family family = options.to.address.family;
  auto fd = open_datagrams(options, Fragmentation::kNever);
  if (!fd) return fail(fd.error());
  const std::size_t headers = kUdpHeader + (family == Family::kIpv4 ? 20 : 40);
  const auto payload = marked_bytes(options.marker, options.bytes - std::min(options.bytes, headers));
  const auto deadline = Clock::now() + options.patience;
  std::array<std::byte, 65536> buffer;
  while (Clock::now() < deadline) {
    auto sent = send_all(fd->get(), payload);
    if (!sent && sent.error().error_number() == EMSGSIZE) return path_mtu(fd->get(), family);
    // The answer to the datagram, if the path can carry it, or the time an ICMP error needs.
    auto got = receive(fd->get(), buffer, milliseconds(50));
    if (got && *got) return fail("a packet of " + std::to_string(options.bytes) + " bytes was answered: not too big");
  }
  return fail("no ICMP error arrived: a black hole for packets of " + std::to_string(options.bytes) + " bytes");
}

}  // namespace sheath::traffic
