// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

// Devices for tests, in a network namespace of this process that dies with it.
namespace sheath::test {

// Enters the namespace, once; false, with the reason on stderr, where that or BPF is not allowed.
bool enter_own_network();

// A command of iproute2 or the shell, in that namespace; throws when it fails.
void must_run(const std::string& command);

// A program on tc ingress or egress of a device, as long as this object lives.
class TcAttachment {
 public:
  enum class Side { kIngress, kEgress };
  TcAttachment(std::uint32_t ifindex, Side side, int program);
  ~TcAttachment();
  TcAttachment(const TcAttachment&) = delete;
  TcAttachment& operator=(const TcAttachment&) = delete;

 private:
  std::uint32_t ifindex_;
  Side side_;
};

// A veth pair, both ends up, without addresses.
struct VethPair {
  // `name` is the near end, `name`p the far one.
  VethPair(const std::string& name, unsigned mtu);

  std::string near;
  std::string far;
  std::uint32_t ifindex = 0;
  std::uint32_t far_ifindex = 0;
};

}  // namespace sheath::test
