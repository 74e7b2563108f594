// SPDX-License-Identifier: Apache-2.0
#include "loader/base/netns.hpp"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <string>

#include "loader/base/unique_fd.hpp"

namespace sheath {
namespace {

Result<std::string> namespace_path(std::string_view name) {
  if (name.starts_with('/')) return std::string(name);
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos) {
    return fail(Error::misuse("\"" + std::string(name) + "\" is not the name of a network namespace"));
  }
  return "/run/netns/" + std::string(name);
}

Error open_error(int number, const std::string& path) {
  auto error = Error::system("open " + path, number);
  return number == ENOENT ? std::move(error).hint("`ip netns list` shows the network namespaces there are") : error;
}

Error enter_error(int number, const std::string& path) {
  if (number == EINVAL) return Error(path + " is not a network namespace");
  auto error = Error::system("enter " + path, number);
  return number == EPERM ? std::move(error).hint("needs CAP_SYS_ADMIN") : error;
}

}  // namespace

Result<> enter_network_namespace(std::string_view name) {
  const auto context = "network namespace " + std::string(name);
  auto path = namespace_path(name);
  if (!path) return fail(std::move(path.error()));
  const UniqueFd fd(open(path->c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(open_error(errno, *path).context(context));
  if (setns(fd.get(), CLONE_NEWNET) != 0) return fail(enter_error(errno, *path).context(context));
  return {};
}

}  // namespace sheath
