// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/events.hpp"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>

#include "loader/netlink/backstop.hpp"

namespace sheath::netlink {
namespace {

constexpr int kLinkGroups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                               RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE};
constexpr int kXfrmGroups[] = {XFRMNLGRP_SA, XFRMNLGRP_POLICY, XFRMNLGRP_EXPIRE};
constexpr int kNetfilterGroups[] = {NFNLGRP_NFTABLES};

Result<UniqueFd> join(int protocol, std::span<const int> groups) {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!fd) return fail(Error::system("open a netlink socket for events", errno));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(Error::system("bind a netlink socket for events", errno));
  for (const int group : groups) {
    if (setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return fail(Error::system("join group " + std::to_string(group) + " of netlink events", errno));
  }
  return fd;
}

bool may_concern(int protocol, const unsigned char* bytes, std::size_t size) {
  if (protocol == NETLINK_NETFILTER) return may_name_backstop(bytes, size);
  return protocol != NETLINK_XFRM || is_of_others(bytes, size);
}

}  // namespace

Result<Events> Events::open() {
  Events events;
  auto links = join(NETLINK_ROUTE, kLinkGroups);
  if (!links) return fail(std::move(links.error()));
  events.sources_.push_back({NETLINK_ROUTE, std::move(*links)});
  if (auto fd = join(NETLINK_XFRM, kXfrmGroups)) events.sources_.push_back({NETLINK_XFRM, std::move(*fd)});
  if (auto fd = join(NETLINK_NETFILTER, kNetfilterGroups))
    events.sources_.push_back({NETLINK_NETFILTER, std::move(*fd)});
  return events;
}

std::vector<int> Events::descriptors() const {
  std::vector<int> out;
  for (const auto& source : sources_) out.push_back(source.fd.get());
  return out;
}

bool Events::drain(int descriptor) {
  const auto source = std::ranges::find(sources_, descriptor, [](const Source& s) { return s.fd.get(); });
  if (source == sources_.end()) return false;
  bool concerns = false;
  std::array<unsigned char, 16 * 1024> buffer{};
  for (;;) {
    const auto size = recv(descriptor, buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == ENOBUFS) {
      concerns = true;
      continue;
    }
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return concerns;
    concerns = concerns || may_concern(source->protocol, buffer.data(), static_cast<std::size_t>(size));
  }
}

// Other tables change with each service: a name in the bytes is enough to look.
bool may_name_backstop(const unsigned char* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  // Table names are strings with their end.
  const std::string name = std::string(kBackstopTable) + '\0';
  return text.find(name) != std::string_view::npos;
}

// xfrm puts into a notification what the header of the request had (xfrm_add_sa and the like: c.portid = nlmsg_pid),
// and ours have this process. What the kernel does by itself has zero.
bool is_of_others(const unsigned char* bytes, std::size_t size) {
  const auto own = static_cast<std::uint32_t>(getpid());
  while (size >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, bytes, sizeof header);
    const std::size_t step = NLMSG_ALIGN(header.nlmsg_len);
    if (step < sizeof header || header.nlmsg_pid != own) return true;
    if (step >= size) return false;
    bytes += step;
    size -= step;
  }
  return size > 0;
}

}  // namespace sheath::netlink
