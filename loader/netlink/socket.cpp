// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/socket.hpp"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "loader/netlink/answer.hpp"

namespace sheath::netlink {
namespace {

// The kernel fills datagrams of a dump up to 32 KiB.
constexpr std::size_t kBufferSize = 65536;

// Less than the least that net.core.wmem_default is anywhere; beyond it a socket asks for room (netlink_sendmsg).
constexpr std::size_t kEverySocketSends = 65536;
constexpr std::size_t kSendOverhead = 4096;

std::unexpected<Error> system_error(std::string_view doing) {
  return fail(Error::system(doing, errno));
}

std::unexpected<Error> too_long() {
  return fail(Error::system("netlink message does not fit its buffer", EMSGSIZE));
}

// nfnetlink takes what stands between these two as one transaction.
Message bracket(std::uint16_t type, std::uint16_t subsystem) {
  Message message(type);
  message.put_struct(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(subsystem)});
  return message;
}

bool set_option(int fd, int option) {
  const int on = 1;
  return setsockopt(fd, SOL_NETLINK, option, &on, sizeof on) == 0;
}

}  // namespace

Socket::Socket(UniqueFd fd) : fd_(std::move(fd)), buffer_(std::make_unique<std::uint8_t[]>(kBufferSize)) {}

Result<Socket> Socket::open(int protocol) {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return system_error("open netlink socket");
  // CAP_ACK: an error does not bring the request back, which may hold a key. STRICT_CHK: dumps heed their filters.
  if (!set_option(fd.get(), NETLINK_EXT_ACK) || !set_option(fd.get(), NETLINK_CAP_ACK) ||
      !set_option(fd.get(), NETLINK_GET_STRICT_CHK)) {
    return system_error("set up netlink socket");
  }
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return system_error("bind netlink socket");
  }
  return Socket(std::move(fd));
}

void Socket::number(Message& message) {
  message.set_sequence(++sequence_);
  message.set_sender(static_cast<std::uint32_t>(getpid()));
  message.add_flags(NLM_F_REQUEST);
}

Result<> Socket::send(Message& message) {
  if (message.overflowed()) return too_long();
  number(message);
  return send_bytes(message.bytes());
}

Result<> Socket::send_bytes(Bytes bytes) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t count = 0;
  do {
    count = sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return system_error("send netlink message");
  return {};
}

// A transaction is one datagram, however long.
Result<> Socket::make_room_for(std::size_t size) {
  const int wanted = static_cast<int>(size + kSendOverhead);
  if (size <= kEverySocketSends || setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted) == 0)
    return {};
  return system_error("make room for a netlink transaction of " + std::to_string(size) + " bytes");
}

// One datagram, of the kernel.
Result<std::size_t> Socket::receive_datagram() {
  for (;;) {
    sockaddr_nl sender{};
    iovec part{buffer_.get(), kBufferSize};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t count = recvmsg(fd_.get(), &message, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("receive netlink message");
    if (sender.nl_pid != 0) continue;
    if ((message.msg_flags & MSG_TRUNC) != 0) return fail(Error::system("receive netlink message", EMSGSIZE));
    return static_cast<std::size_t>(count);
  }
}

Result<> Socket::receive(Answer& answer) {
  while (!answer.finished()) {
    const auto count = receive_datagram();
    if (!count) return fail(count.error());
    answer.take({buffer_.get(), *count});
    explicit_bzero(buffer_.get(), *count);
  }
  return answer.result();
}

Result<> Socket::request(Message& message, const ReplyHandler& handler) {
  message.add_flags(NLM_F_ACK);
  if (auto sent = send(message); !sent) return sent;
  Answer answer(sequence_, handler);
  return receive(answer);
}

// The kernel answers in the order of the messages: those that failed, and the last one whatever became of it; or the
// opening bracket alone, when it takes none of them.
Result<> Socket::transaction(std::span<Message> messages, std::uint16_t subsystem) {
  if (messages.empty()) return {};
  Message begin = bracket(NFNL_MSG_BATCH_BEGIN, subsystem), end = bracket(NFNL_MSG_BATCH_END, subsystem);
  std::vector<std::uint8_t> bytes;
  const auto append = [&](Message& message) {
    number(message);
    const auto encoded = message.bytes();
    bytes.insert(bytes.end(), encoded.begin(), encoded.end());
    bytes.resize(NLMSG_ALIGN(bytes.size()));
  };
  append(begin);
  const auto opened = sequence_;
  messages.back().add_flags(NLM_F_ACK);
  for (Message& message : messages) {
    if (message.overflowed()) return too_long();
    append(message);
  }
  const auto last = sequence_;
  append(end);
  if (auto done = make_room_for(bytes.size()); !done) return done;
  if (auto sent = send_bytes(bytes); !sent) return sent;

  std::optional<Error> error;
  for (bool finished = false; !finished;) {
    const auto count = receive_datagram();
    if (!count) return fail(count.error());
    for (const auto& [sequence, result] : acknowledgements({buffer_.get(), *count})) {
      if (!result && !error) error = result.error();
      finished = finished || sequence == opened || sequence == last;
    }
  }
  if (error) return fail(std::move(*error));
  return {};
}

Result<> Socket::dump(Message& message, const std::function<void()>& restart, const ReplyHandler& handler) {
  message.add_flags(NLM_F_DUMP);
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    restart();
    if (auto sent = send(message); !sent) return sent;
    Answer answer(sequence_, handler);
    auto received = receive(answer);
    // What was read while the table changed may well have an error that is none.
    if (!answer.finished() || !answer.interrupted()) return received;
  }
  return fail(Error::system("the kernel's table changes faster than it can be read", EINTR));
}

}  // namespace sheath::netlink
