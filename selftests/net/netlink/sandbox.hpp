// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "loader/base/address.hpp"
#include "loader/base/unique_fd.hpp"
#include "loader/netlink/links.hpp"
#include "loader/netlink/socket.hpp"

namespace sheath::netlink {

// A fresh network namespace for this thread; nothing of the machine's own is touched. It goes when nobody is in it.
class Sandbox {
 public:
  Sandbox();

  Socket& route() { return route_; }
  // A veth pair; the other end is put into the namespace `peer_namespace` (a file descriptor) if that is not negative,
  // and has the MAC address 02:00:00:00:00:aa. Returns the near end.
  Link add_veth(const std::string& name, const std::string& peer, int peer_namespace = -1);
  // The address is usable at once (no duplicate address detection).
  void add_address(std::uint32_t ifindex, const Cidr& network, const IpAddress& address);
  void add_route(const Cidr& to, std::uint32_t ifindex, const IpAddress& gateway, std::uint32_t metric);
  void add_neighbour(std::uint32_t ifindex, const IpAddress& address, const MacAddress& mac);
  // Until the kernel has seen the carrier and given the device its queue, some time after it was set up: before that,
  // what is sent is lost.
  void wait_until_running(std::uint32_t ifindex);

 private:
  Socket route_;
};

// The address that the text names; the test ends where it names none.
inline IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

// A descriptor of this thread's network namespace.
UniqueFd current_namespace();

// Prints the skip in the form that the runner checks against the list of expected ones.
void skip(const std::string& name, const std::string& why);

}  // namespace sheath::netlink
