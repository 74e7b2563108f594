// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/message.hpp"

#include <netlink/attr.h>
#include <netlink/msg.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <utility>

namespace sheath::netlink {

Message::Message(std::uint16_t type, std::uint16_t flags, std::size_t capacity)
    : message_(nlmsg_alloc_size(capacity), Free{false}), capacity_(capacity) {
  if (!message_ || nlmsg_put(message_.get(), 0, 0, type, 0, flags) == nullptr) throw std::bad_alloc();
}

void Message::Free::operator()(nl_msg* message) const {
  if (secret) explicit_bzero(nlmsg_hdr(message), nlmsg_get_max_size(message));
  nlmsg_free(message);
}

void Message::set_secret() {
  message_.get_deleter().secret = true;
}

void Message::append(const void* data, std::size_t size) {
  if (nlmsg_append(message_.get(), const_cast<void*>(data), size, NLMSG_ALIGNTO) < 0) overflowed_ = true;
}

// Room for a value of that size; null when there is none.
std::uint8_t* Message::reserve(int type, std::size_t size) {
  constexpr std::size_t kMax = std::numeric_limits<std::uint16_t>::max() - sizeof(nlattr);
  nlattr* attribute = size > kMax ? nullptr : nla_reserve(message_.get(), type, static_cast<int>(size));
  if (attribute == nullptr) {
    overflowed_ = true;
    return nullptr;
  }
  return static_cast<std::uint8_t*>(nla_data(attribute));
}

void Message::put(int type, Bytes value) {
  put_joined(type, value, {});
}

void Message::put_joined(int type, Bytes head, Bytes tail) {
  std::uint8_t* place = reserve(type, head.size() + tail.size());
  if (place == nullptr) return;
  std::ranges::copy(tail, std::ranges::copy(head, place).out);
}

void Message::put_u8(int type, std::uint8_t value) {
  put(type, {&value, 1});
}

void Message::put_u16(int type, std::uint16_t value) {
  put(type, {reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
}

void Message::put_u32(int type, std::uint32_t value) {
  put(type, {reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
}

void Message::put_string(int type, std::string_view value) {
  const std::string text(value);
  put(type, {reinterpret_cast<const std::uint8_t*>(text.c_str()), text.size() + 1});
}

Message::Nest Message::nest(int type) {
  const nlattr* attribute = nla_nest_start(message_.get(), type);
  if (attribute == nullptr) {
    overflowed_ = true;
    return {nullptr, 0};
  }
  const auto* start = reinterpret_cast<const std::uint8_t*>(nlmsg_hdr(message_.get()));
  return {this, static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(attribute) - start)};
}

Message::Nest::Nest(Nest&& other) noexcept : message_(std::exchange(other.message_, nullptr)), offset_(other.offset_) {}

void Message::Nest::close() {
  Message* message = std::exchange(message_, nullptr);
  if (message == nullptr) return;
  nl_msg* raw = message->message_.get();
  auto* attribute = reinterpret_cast<nlattr*>(reinterpret_cast<std::uint8_t*>(nlmsg_hdr(raw)) + offset_);
  // An empty nest stays: an empty list is not the same as none.
  if (nla_nest_end_keep_empty(raw, attribute) < 0) message->overflowed_ = true;
}

std::size_t Message::room() const {
  const std::size_t used = NLMSG_ALIGN(bytes().size());
  return used < capacity_ ? capacity_ - used : 0;
}

Bytes Message::bytes() const {
  const nlmsghdr* header = nlmsg_hdr(message_.get());
  return {reinterpret_cast<const std::uint8_t*>(header), header->nlmsg_len};
}

void Message::set_sequence(std::uint32_t sequence) {
  nlmsg_hdr(message_.get())->nlmsg_seq = sequence;
}

void Message::set_sender(std::uint32_t process) {
  nlmsg_hdr(message_.get())->nlmsg_pid = process;
}

void Message::add_flags(std::uint16_t flags) {
  nlmsg_hdr(message_.get())->nlmsg_flags |= flags;
}

}  // namespace sheath::netlink
