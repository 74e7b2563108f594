// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/lines.hpp"

#include <cerrno>
#include <sstream>

#include "loader/base/file.hpp"

namespace sheath::netlink {

Result<std::vector<std::string>> read_lines(const std::string& path) {
  const auto content = read_file(path);
  if (!content && content.error().error_number() == ENOENT) return std::vector<std::string>{};
  if (!content) return fail(content.error());
  std::vector<std::string> lines;
  std::istringstream stream(*content);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace sheath::netlink
