// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/netlink/socket.hpp"

namespace sheath::netlink {

// What the kernel answers to one request, message by message (linux/netlink.h), as it comes in datagrams.
class Answer {
 public:
  Answer(std::uint32_t sequence, const ReplyHandler& handler) : sequence_(sequence), handler_(handler) {}

  // Hands the messages of one datagram to the handler. Messages that answer another request are passed over.
  void take(Bytes datagram);

  // The acknowledgement or the end of the dump has come.
  bool finished() const { return finished_; }
  // The table changed while it was read: what the handler got is not one state of it.
  bool interrupted() const { return interrupted_; }
  // The first error, of the kernel or of the handler. With a finished answer.
  Result<> result() const;

 private:
  void take_message(std::uint16_t type, std::uint16_t flags, Bytes payload);
  void finish(std::uint16_t flags, Bytes payload, std::size_t extended_ack_at);
  void set_error(Error error);

  std::uint32_t sequence_;
  const ReplyHandler& handler_;
  std::optional<Error> error_;
  bool finished_ = false;
  bool interrupted_ = false;
};

// Of a datagram that answers several requests: what became of each, by its sequence number.
std::vector<std::pair<std::uint32_t, Result<>>> acknowledgements(Bytes datagram);

}  // namespace sheath::netlink
