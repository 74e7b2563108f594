// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"

// The kernel says when something changes. What changed is not told on: whoever listens looks at everything again.
namespace sheath::netlink {

// Links, addresses, routes and rules (rtnetlink), states and policies (xfrm), and the table of the backstop
// (nfnetlink), of the network namespace this was opened in. Where the kernel has no xfrm or no netfilter, the rest.
class Events {
 public:
  static Result<Events> open();

  // To poll; each then wants drain(). They are this object's.
  std::vector<int> descriptors() const;
  // Takes what has come. True when it concerns us; also when more came than fitted (ENOBUFS). What this process itself
  // did to states and policies does not.
  bool drain(int descriptor);

 private:
  struct Source {
    int protocol;
    UniqueFd fd;
  };
  std::vector<Source> sources_;
};

// Whether a message of NETLINK_NETFILTER may be about the backstop's table. Pure.
bool may_name_backstop(const unsigned char* bytes, std::size_t size);

// The same of NETLINK_XFRM: whether anything in it was done by others than this process.
bool is_of_others(const unsigned char* bytes, std::size_t size);

}  // namespace sheath::netlink
