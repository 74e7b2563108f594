// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/xfrm_stat.hpp"

#include <charconv>
#include <string_view>
#include <system_error>

#include "loader/netlink/lines.hpp"

namespace sheath::netlink {
namespace {

constexpr const char* kBlanks = " \t";

bool is_number(std::string_view text, std::uint64_t& value) {
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && rest == text.data() + text.size();
}

}  // namespace

Result<XfrmStat> parse_xfrm_stat(const std::vector<std::string>& lines) {
  XfrmStat out;
  for (const std::string& line : lines) {
    const auto end_of_name = line.find_first_of(kBlanks);
    const auto number = line.find_first_not_of(kBlanks, end_of_name);
    std::uint64_t value = 0;
    const bool has_both = end_of_name != 0 && end_of_name != std::string::npos && number != std::string::npos;
    if (!has_both || !is_number(std::string_view(line).substr(number), value)) {
      return fail("xfrm_stat: not a counter: " + line);
    }
    out[line.substr(0, end_of_name)] = value;
  }
  return out;
}

Result<XfrmStat> read_xfrm_stat() {
  const auto lines = read_lines("/proc/thread-self/net/xfrm_stat");
  if (!lines) return fail(lines.error());
  return parse_xfrm_stat(*lines);
}

}  // namespace sheath::netlink
