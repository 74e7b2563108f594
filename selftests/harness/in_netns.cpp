// SPDX-License-Identifier: Apache-2.0
// sheath_in_netns FILE COMMAND…: becomes the command, in that network namespace and nothing else: /sys, and with it
// bpffs, stays as it is. What `nsenter --net=FILE` does, only linked statically: it starts faster in an emulated guest,
// and the tests do this thousands of times.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

constexpr int kNotFound = 127;
constexpr int kFailed = 126;

int fail(const char* what, int code) {
  std::fprintf(stderr, "sheath_in_netns: %s: %s\n", what, std::strerror(errno));
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: sheath_in_netns FILE COMMAND…\n", stderr);
    return kFailed;
  }
  const int netns = open(argv[1], O_RDONLY | O_CLOEXEC);
  if (netns < 0 || setns(netns, CLONE_NEWNET) != 0) return fail(argv[1], kFailed);
  execvp(argv[2], argv + 2);
  return fail(argv[2], errno == ENOENT ? kNotFound : kFailed);
}
