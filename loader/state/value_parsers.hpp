// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"

// Values as people write them. Errors are misuses with the bare reason, the text quoted in it; the caller says where
// it stood.
namespace sheath::state {

struct NumberRange {
  std::uint32_t min;
  std::uint32_t max;
};

struct DurationRange {
  std::chrono::seconds min;
  std::chrono::seconds max;
};

inline constexpr DurationRange kAnyDuration{std::chrono::seconds(0), std::chrono::hours(24 * 365)};

// "true" or "false".
Result<bool> parse_bool(std::string_view text);
// Decimal digits, within the range.
Result<std::uint32_t> parse_number(std::string_view text, NumberRange range);
// 30s, 5m, 8h, 1h30m.
Result<std::chrono::seconds> parse_duration(std::string_view text, DurationRange range = kAnyDuration);
std::string duration_text(std::chrono::seconds duration);
// Absolute, no control characters.
Result<std::filesystem::path> parse_path(std::string_view text);
// As the kernel allows: 1 to 15 characters, neither '/', ':' nor white space, not "." or "..".
Result<std::string> parse_device(std::string_view text);
// The same with * and ? and [...] in it; as long as one likes.
Result<std::string> parse_device_glob(std::string_view text);
// A label's key, or key=value.
Result<std::string> parse_label(std::string_view text);
// An RFC 1123 subdomain, as Kubernetes names nodes.
Result<std::string> parse_node_name(std::string_view text);
// An address that another node can send to: global unicast, not an IPv4 address dressed up as IPv6.
Result<IpAddress> parse_node_ip(std::string_view text);
// A prefix of such addresses, not all of them.
Result<Cidr> parse_pod_cidr(std::string_view text);

// An RFC 1123 subdomain, 253 characters at most. A node's name becomes a file name.
bool is_node_name(std::string_view text);
bool is_node_ip(const IpAddress& address);

}  // namespace sheath::state
