// SPDX-License-Identifier: Apache-2.0
#include "loader/base/sysctl.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "loader/base/file.hpp"
#include "loader/base/unique_fd.hpp"

namespace sheath {
namespace {

std::string path_of(std::string_view name) {
  return "/proc/sys/" + std::string(name);
}

Error write_error(std::string_view name, int number) {
  auto error = Error::system("set " + std::string(name), number);
  return number == EACCES || number == EPERM ? std::move(error).hint("needs CAP_NET_ADMIN and a writable /proc/sys")
                                             : error;
}

}  // namespace

Result<std::string> read_sysctl(std::string_view name) {
  auto value = read_file(path_of(name), 4096);
  if (value && value->ends_with('\n')) value->pop_back();
  return value;
}

Result<> write_sysctl(std::string_view name, std::string_view value) {
  const UniqueFd fd(open(path_of(name).c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return fail(write_error(name, errno));
  // The kernel takes a value from one write() only.
  const ssize_t count = write(fd.get(), value.data(), value.size());
  if (count < 0) return fail(write_error(name, errno));
  if (static_cast<std::size_t>(count) != value.size()) return fail("set " + std::string(name) + ": cut short");
  return {};
}

}  // namespace sheath
