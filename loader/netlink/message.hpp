// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

struct nl_msg;

namespace sheath::netlink {

using Bytes = std::span<const std::uint8_t>;

// A netlink message under construction: header, one fixed struct of the protocol, then attributes (linux/netlink.h).
//
//   Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
//   message.put_struct(ifinfomsg{});
//   message.put_string(IFLA_IFNAME, "cilium_wg0");
//   auto info = message.nest(IFLA_LINKINFO);      // closed at the end of its scope
//   message.put_string(IFLA_INFO_KIND, "wireguard");
//
// The buffer does not grow. What no longer fits is left out and overflowed() turns true for good; Socket refuses to
// send such a message. Values are in host byte order unless a function's name says otherwise.
class Message {
 public:
  // An open nested attribute. Must be closed before its message is read or sent.
  class Nest {
   public:
    Nest(Nest&& other) noexcept;
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;
    Nest& operator=(Nest&&) = delete;
    ~Nest() { close(); }
    void close();

   private:
    friend class Message;
    Nest(Message* message, std::size_t offset) : message_(message), offset_(offset) {}
    Message* message_;
    std::size_t offset_;
  };

  static constexpr std::size_t kDefaultCapacity = 4096;

  // `capacity` in bytes, header included. Running out of memory throws std::bad_alloc, as containers do.
  explicit Message(std::uint16_t type, std::uint16_t flags = 0, std::size_t capacity = kDefaultCapacity);
  Message(Message&&) noexcept = default;
  Message& operator=(Message&&) noexcept = default;

  template <typename T>
  void put_struct(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    append(&value, sizeof value);
  }
  void put(int type, Bytes value);
  // The two behind one another as one value; a key in `tail` is copied into this message only.
  void put_joined(int type, Bytes head, Bytes tail);
  void put_u8(int type, std::uint8_t value);
  void put_u16(int type, std::uint16_t value);
  void put_u32(int type, std::uint32_t value);
  // With its terminating zero.
  void put_string(int type, std::string_view value);
  [[nodiscard]] Nest nest(int type);

  // From now on the buffer holds key bytes: it is wiped when it is freed.
  void set_secret();

  bool overflowed() const { return overflowed_; }
  // Bytes that still fit.
  std::size_t room() const;
  // The finished message, header included; sequence number and port are 0 until it is sent.
  Bytes bytes() const;

 private:
  friend class Socket;
  struct Free {
    bool secret;
    void operator()(nl_msg* message) const;
  };

  void append(const void* data, std::size_t size);
  std::uint8_t* reserve(int type, std::size_t size);
  void set_sequence(std::uint32_t sequence);
  void set_sender(std::uint32_t process);  // nlmsg_pid, which the kernel makes no use of
  void add_flags(std::uint16_t flags);

  std::unique_ptr<nl_msg, Free> message_;
  std::size_t capacity_;
  bool overflowed_ = false;
};

}  // namespace sheath::netlink
