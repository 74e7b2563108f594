// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"
#include "loader/netlink/message.hpp"

namespace sheath::netlink {

// One message from the kernel. A view: valid inside the handler that gets it.
struct Reply {
  std::uint16_t type = 0;
  // What follows the netlink header.
  Bytes payload;
};

using ReplyHandler = std::function<Result<>(const Reply&)>;

class Answer;

// A connection to the kernel, of the network namespace in which it was opened. One request at a time, one thread.
//
// Errors carry the errno value and the kernel's own words (extended ack): "Operation not supported (EOPNOTSUPP):
// Unknown device type"; EPERM has a hint. A handler's error is returned after the kernel's answer was read to its end,
// so that the socket stays usable. What was received is wiped as soon as it was handled: a WireGuard dump holds
// the private key.
class Socket {
 public:
  // `protocol`: NETLINK_ROUTE, NETLINK_GENERIC, NETLINK_NETFILTER, ...
  static Result<Socket> open(int protocol);

  // Sends, hands what the kernel answers to the handler, and waits for its acknowledgement.
  Result<> request(Message& message, const ReplyHandler& handler = {});

  // Asks for a whole table. A table that changes while it is read is read again (NLM_F_DUMP_INTR, up to kDumpAttempts
  // times): `restart` is called before each attempt and has to forget what the handler got.
  Result<> dump(Message& message, const std::function<void()>& restart, const ReplyHandler& handler);

  // All of the messages or none of them (NETLINK_NETFILTER only, `subsystem` as in NFNL_SUBSYS_*). The first error.
  Result<> transaction(std::span<Message> messages, std::uint16_t subsystem);

  static constexpr int kDumpAttempts = 64;

 private:
  explicit Socket(UniqueFd fd);
  void number(Message& message);
  Result<> send(Message& message);
  Result<> send_bytes(Bytes bytes);
  Result<> make_room_for(std::size_t size);
  Result<std::size_t> receive_datagram();
  Result<> receive(Answer& answer);

  UniqueFd fd_;
  std::unique_ptr<std::uint8_t[]> buffer_;
  std::uint32_t sequence_ = 0;
};

// Dumps a table into a list. `decode` returns nullopt for what does not belong into it.
template <typename T>
Result<std::vector<T>> dump_list(Socket& socket, Message& message,
                                 const std::function<Result<std::optional<T>>(const Reply&)>& decode) {
  std::vector<T> out;
  const auto add = [&](const Reply& reply) -> Result<> {
    auto item = decode(reply);
    if (!item) return fail(std::move(item.error()));
    if (*item) out.push_back(std::move(**item));
    return {};
  };
  if (auto done = socket.dump(message, [&] { out.clear(); }, add); !done) return fail(std::move(done.error()));
  return out;
}

}  // namespace sheath::netlink
