// SPDX-License-Identifier: Apache-2.0
#include "loader/state/value_parsers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace sheath::state {
namespace {

constexpr std::size_t kMaxDeviceName = 15;  // IFNAMSIZ with its final zero
constexpr std::size_t kMaxNodeName = 253;

std::string quoted(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

std::unexpected<Error> refuse(std::string_view text, std::string_view reason) {
  return fail(Error::misuse(quoted(text) + " " + std::string(reason)));
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}
bool is_space(char c) {
  return c == ' ' || is_control(c);
}
bool is_lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// Prefixes whose addresses are no other node's: RFC 6890, and IPv4 dressed up as IPv6, which the maps use as the key of
// the IPv4 address itself.
struct Reserved {
  const char* cidr;
  const char* reason;
};
constexpr std::array<Reserved, 9> kReserved{{
    {"0.0.0.0/8", "is not a unicast address"},
    {"127.0.0.0/8", "is a loopback address"},
    {"169.254.0.0/16", "is link-local"},
    {"224.0.0.0/3", "is not a unicast address"},
    {"::/127", "is not a unicast address"},
    {"::ffff:0:0/96", "is an IPv4 address in IPv6 form"},
    {"fe80::/10", "is link-local"},
    {"fec0::/10", "is site-local"},
    {"ff00::/8", "is not a unicast address"},
}};

// Why a prefix that touches a reserved one cannot be used; null when it can.
const char* reserved_reason(const Cidr& cidr) {
  static const auto prefixes = [] {
    std::array<Cidr, kReserved.size()> out;
    std::ranges::transform(kReserved, out.begin(), [](const Reserved& entry) { return *Cidr::parse(entry.cidr); });
    return out;
  }();
  for (std::size_t i = 0; i < prefixes.size(); ++i) {
    if (prefixes[i].overlaps(cidr)) return kReserved[i].reason;
  }
  return nullptr;
}

bool is_dns_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && is_lower_alnum(label.front()) && is_lower_alnum(label.back()) &&
         std::ranges::all_of(label, [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool has_device_characters(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return c == '/' || c == ':' || is_space(c); });
}

// Takes "5m" from the front of `text`; nullopt when there is none.
std::optional<std::chrono::seconds> take_part(std::string_view& text) {
  std::uint32_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || end == text.data() + text.size()) return std::nullopt;
  const char unit = *end;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  if (unit == 's') return std::chrono::seconds(count);
  if (unit == 'm') return std::chrono::minutes(count);
  if (unit == 'h') return std::chrono::hours(count);
  return std::nullopt;
}

}  // namespace

Result<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return refuse(text, "is neither true nor false");
}

Result<std::uint32_t> parse_number(std::string_view text, NumberRange range) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = end == text.data() + text.size() && !text.empty();
  if (whole && error == std::errc{} && value >= range.min && value <= range.max) return value;
  const bool is_number = whole && error != std::errc::invalid_argument;
  const auto bounds = std::to_string(range.min) + ".." + std::to_string(range.max);
  if (is_number) return fail(Error::misuse(std::string(text) + " is out of range (" + bounds + ")"));
  return refuse(text, "is not a number (" + bounds + ")");
}

Result<std::chrono::seconds> parse_duration(std::string_view text, DurationRange range) {
  std::chrono::seconds total{0};
  std::string_view rest = text;
  do {
    const auto part = take_part(rest);
    if (!part) return refuse(text, "is not a duration, such as 30s, 5m or 8h");
    total += *part;
  } while (!rest.empty());
  if (total < range.min || total > range.max) {
    return fail(Error::misuse(std::string(text) + " is out of range (" + duration_text(range.min) + ".." +
                              duration_text(range.max) + ")"));
  }
  return total;
}

std::string duration_text(std::chrono::seconds duration) {
  const auto seconds = duration.count();
  std::string out;
  if (seconds >= 3600) out += std::to_string(seconds / 3600) + "h";
  if (seconds % 3600 >= 60) out += std::to_string(seconds % 3600 / 60) + "m";
  if (seconds % 60 != 0 || seconds == 0) out += std::to_string(seconds % 60) + "s";
  return out;
}

Result<std::filesystem::path> parse_path(std::string_view text) {
  if (std::ranges::any_of(text, is_control)) return fail(Error::misuse("the path holds a control character"));
  if (!text.starts_with('/')) return refuse(text, "is not an absolute path");
  return std::filesystem::path(text).lexically_normal();
}

Result<std::string> parse_device(std::string_view text) {
  if (text.empty() || text.size() > kMaxDeviceName)
    return refuse(text, "is not a device name: it needs 1 to 15 characters");
  if (!has_device_characters(text)) return refuse(text, "is not a device name: it holds '/', ':' or white space");
  if (text == "." || text == "..") return refuse(text, "is not a device name");
  return std::string(text);
}

Result<std::string> parse_device_glob(std::string_view text) {
  if (text.empty()) return refuse(text, "is not a pattern of device names");
  if (!has_device_characters(text)) {
    return refuse(text, "is not a pattern of device names: it holds '/', ':' or white space");
  }
  return std::string(text);
}

Result<std::string> parse_label(std::string_view text) {
  const auto key = text.substr(0, text.find('='));
  if (key.empty() || std::ranges::any_of(text, is_space)) return refuse(text, "is not a label: a key, or key=value");
  return std::string(text);
}

Result<std::string> parse_node_name(std::string_view text) {
  if (is_node_name(text)) return std::string(text);
  return refuse(text, "is not a node name: lower-case letters, digits, '-' and '.' (RFC 1123)");
}

Result<IpAddress> parse_node_ip(std::string_view text) {
  auto address = IpAddress::parse(text);
  if (!address) return address;
  if (const char* reason = reserved_reason(Cidr::host(*address))) {
    return refuse(text, std::string("cannot be a node IP: it ") + reason);
  }
  return address;
}

Result<Cidr> parse_pod_cidr(std::string_view text) {
  auto cidr = Cidr::parse(text);
  if (!cidr) return cidr;
  if (cidr->length == 0) return refuse(text, "cannot be a pod CIDR: it is every address");
  if (const char* reason = reserved_reason(*cidr)) {
    return refuse(text, std::string("cannot be a pod CIDR: it or a part of it ") + reason);
  }
  return cidr;
}

bool is_node_name(std::string_view text) {
  if (text.size() > kMaxNodeName) return false;
  for (;;) {
    const auto dot = text.find('.');
    if (!is_dns_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_node_ip(const IpAddress& address) {
  return reserved_reason(Cidr::host(address)) == nullptr;
}

}  // namespace sheath::state
