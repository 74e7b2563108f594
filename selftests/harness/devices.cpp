// SPDX-License-Identifier: Apache-2.0
#include "selftests/harness/devices.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <stdexcept>

namespace sheath::test {
namespace {

bpf_tc_hook hook_of(std::uint32_t ifindex, TcAttachment::Side side) {
  bpf_tc_hook hook{};
  hook.sz = sizeof(hook);
  hook.ifindex = static_cast<int>(ifindex);
  hook.attach_point = side == TcAttachment::Side::kIngress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
  return hook;
}

bpf_tc_opts only_program() {
  bpf_tc_opts opts{};
  opts.sz = sizeof(opts);
  opts.handle = opts.priority = 1;
  return opts;
}

bool bpf_is_allowed() {
  const int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 4, 1, nullptr);
  if (map < 0) return false;
  close(map);
  return true;
}

}  // namespace

bool enter_own_network() {
  if (unshare(CLONE_NEWNET) != 0) {
    std::fprintf(stderr, "skipped: no network namespace: %s\n", std::strerror(errno));
    return false;
  }
  if (!bpf_is_allowed()) {
    std::fprintf(stderr, "skipped: no BPF: %s\n", std::strerror(errno));
    return false;
  }
  return true;
}

void must_run(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error(command);
}

TcAttachment::TcAttachment(std::uint32_t ifindex, Side side, int program) : ifindex_(ifindex), side_(side) {
  bpf_tc_hook hook = hook_of(ifindex, side);
  static std::set<std::uint32_t> has_clsact;  // devices outlive their attachments, and libbpf complains of a second one
  if (has_clsact.insert(ifindex).second && bpf_tc_hook_create(&hook) != 0) throw std::runtime_error("add clsact");
  bpf_tc_opts opts = only_program();
  opts.prog_fd = program;
  if (bpf_tc_attach(&hook, &opts) != 0) throw std::runtime_error("attach to tc");
}

TcAttachment::~TcAttachment() {
  bpf_tc_hook hook = hook_of(ifindex_, side_);
  bpf_tc_opts opts = only_program();
  bpf_tc_detach(&hook, &opts);
}

VethPair::VethPair(const std::string& name, unsigned mtu) : near(name), far(name + "p") {
  const std::string size = " mtu " + std::to_string(mtu);
  must_run("ip link add " + near + size + " type veth peer name " + far + size);
  for (const std::string& end : {near, far}) {
    const std::string chatter = "/proc/sys/net/ipv6/conf/" + end + "/disable_ipv6";
    must_run("[ ! -e " + chatter + " ] || echo 1 > " + chatter);  // below an MTU of 1280 there is no IPv6
    must_run("ip link set " + end + " up");
  }
  ifindex = if_nametoindex(near.c_str());
  far_ifindex = if_nametoindex(far.c_str());
}

}  // namespace sheath::test
