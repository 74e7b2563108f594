// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/netlink/message.hpp"

namespace sheath::netlink {

// A view: it lives as long as the buffer it was read from.
struct Attribute {
  // Without the flag bits NLA_F_NESTED and NLA_F_NET_BYTEORDER.
  std::uint16_t type = 0;
  Bytes value;
};

// The attributes of a message or of a nested attribute. A value of an unexpected size reads as absent.
class Attributes {
 public:
  Attributes() = default;
  // Fails when an attribute's length runs past the end, or when bytes are left over that cannot be one.
  static Result<Attributes> parse(Bytes bytes);

  // All of them in order; in a netlink array types are meaningless and repeat.
  const std::vector<Attribute>& all() const { return all_; }
  // The last of that type, as the kernel takes it.
  std::optional<Bytes> find(int type) const;
  // The fixed-size value, in the byte order in which it was sent.
  template <typename T>
  std::optional<T> value(int type) const {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto bytes = find(type);
    if (!bytes || bytes->size() != sizeof(T)) return std::nullopt;
    T out;
    std::memcpy(&out, bytes->data(), sizeof out);
    return out;
  }
  std::optional<std::uint32_t> u32(int type) const { return value<std::uint32_t>(type); }
  std::optional<std::uint8_t> u8(int type) const { return value<std::uint8_t>(type); }
  // Up to the first zero or the end.
  std::optional<std::string> string(int type) const;
  // Empty when the attribute is absent.
  Result<Attributes> nested(int type) const;

 private:
  std::vector<Attribute> all_;
};

// Splits a message's payload in its fixed struct and the attributes behind it.
template <typename T>
struct Parsed {
  T header;
  Attributes attributes;
};

template <typename T>
Result<Parsed<T>> parse_message(Bytes payload) {
  static_assert(std::is_trivially_copyable_v<T>);
  // Attributes begin at the next multiple of four (NLMSG_ALIGN).
  constexpr std::size_t kHeader = (sizeof(T) + 3) & ~std::size_t{3};
  if (payload.size() < sizeof(T)) return fail("netlink message is too short");
  Parsed<T> out;
  std::memcpy(&out.header, payload.data(), sizeof(T));
  auto attributes = Attributes::parse(payload.size() > kHeader ? payload.subspan(kHeader) : Bytes{});
  if (!attributes) return fail(std::move(attributes.error()));
  out.attributes = std::move(*attributes);
  return out;
}

}  // namespace sheath::netlink
