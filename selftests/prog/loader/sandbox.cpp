// SPDX-License-Identifier: Apache-2.0
#include "selftests/prog/loader/sandbox.hpp"

#include <sched.h>
#include <sys/mount.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace sheath::test {
namespace {

constexpr const char* kBpfFs = "/sys/fs/bpf";
const std::string kOtherEnd = "other-end";

bool failed(const char* what) {
  std::fprintf(stderr, "sandbox: %s: %s\n", what, std::strerror(errno));
  return false;
}

struct ClosePipe {
  void operator()(FILE* pipe) const { pclose(pipe); }
};

}  // namespace

bool enter_sandbox() {
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return failed("unshare");
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return failed("make mounts private");
  if (mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) return failed("mount sysfs");
  if (mount("bpf", kBpfFs, "bpf", 0, nullptr) != 0) return failed("mount bpffs");
  return run("ip link set lo up");
}

std::filesystem::path new_pin_folder() {
  static int count = 0;
  return std::filesystem::path(kBpfFs) / ("node" + std::to_string(++count)) / "sheath";
}

bool run(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, ClosePipe> pipe(popen(command.c_str(), "r"));
  std::string output;
  std::array<char, 4096> buffer{};
  while (pipe && std::fgets(buffer.data(), static_cast<int>(buffer.size()), pipe.get()) != nullptr) {
    output += buffer.data();
  }
  return output;
}

TestDevice::TestDevice(std::string name) : name_(std::move(name)) {
  make_anew();
}

TestDevice::~TestDevice() {
  run("ip link del " + name_);
}

void TestDevice::make_anew() {
  run("ip link del " + name_);
  run("ip link add " + name_ + " type veth peer name " + kOtherEnd + " && ip link set " + name_ + " up");
}

}  // namespace sheath::test
