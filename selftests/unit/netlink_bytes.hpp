// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/encoding.hpp"
#include "loader/netlink/attributes.hpp"

// Messages as they were seen on a netlink socket, written down as text, and compared with ours.
namespace sheath::netlink {

inline IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

// Hex digits in words; "ff*12" is a byte twelve times.
inline std::vector<std::uint8_t> bytes_of(const std::string& text) {
  std::vector<std::uint8_t> out;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const auto star = word.find('*');
    const auto bytes = hex_decode(word.substr(0, star)).value();
    if (star == std::string::npos) out.insert(out.end(), bytes.begin(), bytes.end());
    if (star != std::string::npos) out.insert(out.end(), std::stoul(word.substr(star + 1)), bytes.at(0));
  }
  return out;
}

inline Bytes payload_of(const Message& message) {
  return message.bytes().subspan(sizeof(nlmsghdr));
}

inline std::uint16_t type_of(const Message& message) {
  nlmsghdr header;
  std::memcpy(&header, message.bytes().data(), sizeof header);
  return header.nlmsg_type;
}

// The fixed struct, then "type=value" of each attribute in the order of the types, since the order in a message means
// nothing. A line each.
inline std::string described(Bytes payload, std::size_t struct_size) {
  std::vector<std::pair<int, std::string>> sorted;
  const auto attributes = Attributes::parse(payload.subspan(struct_size)).value();
  for (const Attribute& attribute : attributes.all()) {
    sorted.emplace_back(attribute.type, hex_encode(attribute.value));
  }
  std::ranges::sort(sorted);
  std::string out = hex_encode(payload.first(struct_size)) + "\n";
  for (const auto& [type, value] : sorted) out += std::to_string(type) + "=" + value + "\n";
  return out;
}

}  // namespace sheath::netlink
