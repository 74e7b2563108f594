// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/answer.hpp"

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "loader/netlink/attributes.hpp"

namespace sheath::netlink {
namespace {

// The kernel's own words, or nothing.
std::string extended_ack(Bytes bytes) {
  const auto attributes = Attributes::parse(bytes);
  return attributes ? attributes->string(NLMSGERR_ATTR_MSG).value_or("") : "";
}

Error kernel_error(int number, const std::string& words) {
  auto error = Error::system(number);
  if (!words.empty()) error = std::move(error).detail(words);
  if (number == EPERM) error = std::move(error).hint("needs CAP_NET_ADMIN");
  return error;
}

// Where the extended ack begins in the payload of an NLMSG_ERROR: behind the error and the request's header, and behind
// the request's payload too when the kernel has sent that back.
std::size_t error_size(std::uint16_t flags, Bytes payload) {
  nlmsgerr error{};
  std::memcpy(&error, payload.data(), std::min(payload.size(), sizeof error));
  if ((flags & NLM_F_CAPPED) != 0 || error.error == 0) return sizeof error;
  return sizeof error.error + NLMSG_ALIGN(std::size_t{error.msg.nlmsg_len});
}

}  // namespace

void Answer::take(Bytes datagram) {
  while (!finished_ && datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, datagram.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > datagram.size()) {
      set_error(Error("netlink message runs past its datagram"));
      finished_ = true;
      return;
    }
    if (header.nlmsg_seq == sequence_) {
      const auto payload = datagram.subspan(sizeof header, header.nlmsg_len - sizeof header);
      take_message(header.nlmsg_type, header.nlmsg_flags, payload);
    }
    datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
  }
}

void Answer::take_message(std::uint16_t type, std::uint16_t flags, Bytes payload) {
  if ((flags & NLM_F_DUMP_INTR) != 0) interrupted_ = true;
  if (type == NLMSG_ERROR) return finish(flags, payload, error_size(flags, payload));
  if (type == NLMSG_DONE) return finish(flags, payload, sizeof(int));
  if (type < NLMSG_MIN_TYPE || !handler_ || error_) return;
  if (auto handled = handler_({type, payload}); !handled) set_error(std::move(handled.error()));
}

// Both endings begin with a negative errno value or 0.
void Answer::finish(std::uint16_t flags, Bytes payload, std::size_t extended_ack_at) {
  finished_ = true;
  int error = 0;
  if (payload.size() < sizeof error) return set_error(Error("netlink acknowledgement is too short"));
  std::memcpy(&error, payload.data(), sizeof error);
  if (error == 0) return;
  const bool has_words = (flags & NLM_F_ACK_TLVS) != 0 && extended_ack_at < payload.size();
  set_error(kernel_error(-error, has_words ? extended_ack(payload.subspan(extended_ack_at)) : ""));
}

void Answer::set_error(Error error) {
  if (!error_) error_ = std::move(error);
}

Result<> Answer::result() const {
  if (error_) return fail(*error_);
  return {};
}

std::vector<std::pair<std::uint32_t, Result<>>> acknowledgements(Bytes datagram) {
  std::vector<std::pair<std::uint32_t, Result<>>> out;
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, datagram.data(), sizeof header);
    const ReplyHandler none;
    Answer answer(header.nlmsg_seq, none);
    const auto size = std::clamp<std::size_t>(header.nlmsg_len, sizeof header, datagram.size());
    answer.take(datagram.first(size));
    if (answer.finished()) out.emplace_back(header.nlmsg_seq, answer.result());
    datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(size), datagram.size()));
  }
  return out;
}

}  // namespace sheath::netlink
