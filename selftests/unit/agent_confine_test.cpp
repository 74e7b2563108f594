// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "loader/agent/confine.hpp"

namespace {

// In a process of its own, confined: what the call says to `attempt`. -1: it could not be confined.
template <typename Attempt>
int errno_of(Attempt attempt) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (!sheath::agent::confine()) _exit(255);
    errno = 0;
    _exit(attempt() < 0 ? errno : 0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("confined agent: what it has no need of is refused") {
  CHECK(errno_of([] {
          const char* const words[] = {"/bin/true", nullptr};
          return execv(words[0], const_cast<char* const*>(words));
        }) == EPERM);
  CHECK(errno_of([] { return static_cast<int>(fork()); }) == EPERM);
  CHECK(errno_of([] { return mount("none", "/", "tmpfs", 0, nullptr); }) == EPERM);
  CHECK(errno_of([] { return unshare(CLONE_NEWUSER); }) == EPERM);
  CHECK(errno_of([] { return setns(0, 0); }) == EPERM);
  CHECK(errno_of([] { return chroot("/"); }) == EPERM);
  CHECK(errno_of([] { return static_cast<int>(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }) == EPERM);
  CHECK(errno_of([] { return static_cast<int>(syscall(SYS_init_module, nullptr, 0, "")); }) == EPERM);
  CHECK(errno_of([] { return static_cast<int>(syscall(SYS_setuid, 0)); }) == EPERM);
  CHECK(errno_of([] { return static_cast<int>(syscall(SYS_reboot, 0, 0, 0, nullptr)); }) == EPERM);
  CHECK(errno_of([] { return static_cast<int>(syscall(SYS_chown, "/", 0, 0)); }) == EPERM);
  CHECK(errno_of([] { return socket(AF_ALG, SOCK_SEQPACKET, 0); }) == EPERM);
  CHECK(errno_of([] { return socket(AF_VSOCK, SOCK_STREAM, 0); }) == EPERM);
}

TEST_CASE("confined agent: what it needs is left to it") {
  CHECK(errno_of([] { return socket(AF_NETLINK, SOCK_RAW, 0); }) == 0);
  CHECK(errno_of([] { return socket(AF_UNIX, SOCK_STREAM, 0); }) == 0);
  CHECK(errno_of([] { return socket(AF_INET6, SOCK_STREAM, 0); }) == 0);
  CHECK(errno_of([] { return open("/proc/self/status", O_RDONLY); }) == 0);
  CHECK(errno_of([] { return link("/nothing/here", "/nothing/there"); }) == ENOENT);
  CHECK(errno_of([] { return rename("/nothing/here", "/nothing/there"); }) == ENOENT);
}
