// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/attributes.hpp"

#include <linux/netlink.h>

#include <algorithm>

namespace sheath::netlink {

Result<Attributes> Attributes::parse(Bytes bytes) {
  Attributes out;
  while (!bytes.empty()) {
    nlattr header;
    if (bytes.size() < sizeof header) return fail("netlink attributes end in the middle of a header");
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > bytes.size()) {
      return fail("netlink attribute " + std::to_string(header.nla_type & NLA_TYPE_MASK) + " runs past the end");
    }
    out.all_.push_back({static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
                        bytes.subspan(sizeof header, header.nla_len - sizeof header)});
    // The last attribute may come without its padding.
    bytes = bytes.subspan(std::min<std::size_t>(NLA_ALIGN(header.nla_len), bytes.size()));
  }
  return out;
}

std::optional<Bytes> Attributes::find(int type) const {
  const auto found = std::find_if(all_.rbegin(), all_.rend(), [&](const Attribute& a) { return a.type == type; });
  if (found == all_.rend()) return std::nullopt;
  return found->value;
}

std::optional<std::string> Attributes::string(int type) const {
  const auto bytes = find(type);
  if (!bytes) return std::nullopt;
  return std::string(bytes->begin(), std::find(bytes->begin(), bytes->end(), std::uint8_t{0}));
}

Result<Attributes> Attributes::nested(int type) const {
  return parse(find(type).value_or(Bytes{}));
}

}  // namespace sheath::netlink
