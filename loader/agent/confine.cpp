// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/confine.hpp"

#include <cap-ng.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>

namespace sheath::agent {
namespace {

// By kernel: NET_ADMIN for links, routes, xfrm, tc, nftables and sysctls of the network; BPF and PERFMON for maps and
// programs; NET_RAW for probes; SYS_ADMIN before it hands out a program that is attached (BPF_PROG_GET_FD_BY_ID).
constexpr std::array kCapabilities{CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_NET_RAW, CAP_SYS_ADMIN};

// What the agent was seen to call, and what the C library calls in its stead on other kernels, machines and paths.
constexpr auto kSystemCalls = std::to_array<const char*>({
    // memory
    "brk",
    "madvise",
    "mlock",
    "mlock2",
    "mmap",
    "mprotect",
    "mremap",
    "munlock",
    "munmap",
    // files
    "access",
    "chmod",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fchmod",
    "fchmodat",
    "fcntl",
    "fdatasync",
    "flock",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "getcwd",
    "getdents64",
    "link",
    "linkat",
    "lseek",
    "lstat",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "pread64",
    "pwrite64",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "stat",
    "statfs",
    "statx",
    "umask",
    "unlink",
    "unlinkat",
    "write",
    "writev",
    // sockets; socket itself stands below
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    // waiting
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd2",
    "inotify_add_watch",
    "inotify_init1",
    "inotify_rm_watch",
    "ioctl",
    "pipe2",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    "timerfd_create",
    "timerfd_settime",
    // time, signals, itself
    "arch_prctl",
    "capget",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "exit",
    "exit_group",
    "futex",
    "getcpu",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "getrandom",
    "getrusage",
    "gettid",
    "gettimeofday",
    "getuid",
    "kill",
    "nanosleep",
    "prctl",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "sigaltstack",
    "sysinfo",
    "tgkill",
    "time",
    "uname",
    // what it is there for
    "bpf",
});

constexpr std::array kFamilies{AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};

Result<> drop_capabilities() {
  if (capng_get_caps_process() != 0) return fail("read this process's capabilities");
  // What it never had it cannot keep.
  std::array<bool, kCapabilities.size()> had{};
  for (std::size_t i = 0; i < kCapabilities.size(); ++i)
    had[i] = capng_have_capability(CAPNG_PERMITTED, static_cast<unsigned>(kCapabilities[i])) != 0;
  capng_clear(CAPNG_SELECT_BOTH);
  constexpr auto kKept = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);
  for (std::size_t i = 0; i < kCapabilities.size(); ++i) {
    if (had[i]) capng_update(CAPNG_ADD, kKept, static_cast<unsigned>(kCapabilities[i]));
  }
  // The bounding set wants CAP_SETPCAP, which a service manager has taken already if it set one.
  (void)capng_apply(CAPNG_SELECT_BOUNDS);
  if (const int failed = capng_apply(CAPNG_SELECT_CAPS); failed != 0)
    return fail("give up capabilities: libcap-ng says " + std::to_string(failed));
  return {};
}

Result<> filter_system_calls() {
  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return fail("make a seccomp filter: no memory");
  for (const char* name : kSystemCalls) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;  // of another machine
    const int failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0);
    if (failed != 0 && failed != -EDOM) return fail(Error::system("allow " + std::string(name), -failed));
  }
  for (const int family : kFamilies) {
    const int failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                        SCMP_A0_32(SCMP_CMP_EQ, static_cast<unsigned>(family)));
    if (failed != 0) return fail(Error::system("allow sockets", -failed));
  }
  if (const int failed = seccomp_load(filter.get()); failed != 0)
    return fail(Error::system("load the seccomp filter", -failed));
  return {};
}

}  // namespace

Result<> confine() {
  if (auto done = drop_capabilities(); !done) return done;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(Error::system("give up new privileges", errno));
  return filter_system_calls();
}

}  // namespace sheath::agent
