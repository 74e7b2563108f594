// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/links.hpp"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>

namespace sheath::netlink {
namespace {

// A request about one device; index 0: the name in the attributes says which.
Message about(std::uint16_t type, std::uint32_t ifindex, unsigned flags = 0, unsigned changed_flags = 0) {
  Message message(type);
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(ifindex);
  header.ifi_flags = flags;
  header.ifi_change = changed_flags;
  message.put_struct(header);
  return message;
}

Message get_link(std::uint32_t ifindex) {
  Message message = about(RTM_GETLINK, ifindex);
  message.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return message;
}

// nullopt for the errors that mean "no such device".
Result<std::optional<Link>> find(Socket& socket, Message& message, std::initializer_list<int> absent) {
  std::optional<Link> found;
  const auto done = socket.request(message, [&](const Reply& reply) -> Result<> {
    auto link = decode_link(reply);
    if (!link) return fail(std::move(link.error()));
    if (*link) found = std::move(*link);
    return {};
  });
  if (done) return found;
  if (std::ranges::find(absent, done.error().error_number()) != absent.end()) return std::nullopt;
  return fail(done.error());
}

std::string text(std::uint32_t ifindex) {
  return "link " + std::to_string(ifindex);
}

Result<> send(Socket& socket, Message& message, const std::string& doing) {
  if (auto done = socket.request(message); !done) return fail(std::move(done.error()).context(doing));
  return {};
}

// Which option and module bring a kind of device.
std::string hint_for(const std::string& kind) {
  if (kind == "wireguard") return "the kernel needs CONFIG_WIREGUARD; if it is a module: modprobe wireguard";
  if (kind == "xfrm") return "the kernel needs CONFIG_XFRM_INTERFACE; if it is a module: modprobe xfrm_interface";
  if (kind == "vxlan") return "the kernel needs CONFIG_VXLAN; if it is a module: modprobe vxlan";
  return "the kernel does not know this kind of device; if it is a module: modprobe " + kind;
}

Result<> create(Socket& socket, const NewLink& link) {
  Message message = encode_new_link(link);
  auto done = socket.request(message);
  if (done) return {};
  auto error = std::move(done.error()).context("create " + link.name + " (" + link.kind + ")");
  if (error.error_number() == EOPNOTSUPP) error = std::move(error).hint(hint_for(link.kind));
  return fail(std::move(error));
}

}  // namespace

Result<std::vector<Link>> list_links(Socket& socket) {
  Message message = get_link(0);
  auto links = dump_list<Link>(socket, message, decode_link);
  if (!links) return fail(std::move(links.error()).context("list links"));
  std::ranges::sort(*links, {}, &Link::ifindex);
  return links;
}

Result<std::optional<Link>> find_link(Socket& socket, std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ) return std::nullopt;
  Message message = get_link(0);
  message.put_string(IFLA_IFNAME, name);
  auto link = find(socket, message, {ENODEV});
  if (!link) return fail(std::move(link.error()).context("look up link " + std::string(name)));
  return link;
}

Result<std::optional<Link>> find_link(Socket& socket, std::uint32_t ifindex) {
  if (ifindex == 0) return std::nullopt;
  Message message = get_link(ifindex);
  auto link = find(socket, message, {ENODEV});
  if (!link) return fail(std::move(link.error()).context("look up " + text(ifindex)));
  return link;
}

Result<std::optional<MacAddress>> peer_mac(Socket& socket, const Link& link) {
  if (link.kind != "veth" || !link.peer_ifindex) return std::nullopt;
  // A negative ID (NETNSA_NSID_NOT_ASSIGNED): the other end's namespace has none here.
  if (link.peer_nsid && *link.peer_nsid < 0) return std::nullopt;
  Message message = get_link(*link.peer_ifindex);
  if (link.peer_nsid) message.put_u32(IFLA_TARGET_NETNSID, static_cast<std::uint32_t>(*link.peer_nsid));
  // EINVAL: the ID is no longer one.
  auto peer = find(socket, message, {ENODEV, EINVAL});
  if (!peer) return fail(std::move(peer.error()).context("look up the other end of " + link.name));
  return *peer ? (*peer)->mac : std::nullopt;
}

Result<std::uint32_t> create_link(Socket& socket, const NewLink& link) {
  if (auto created = create(socket, link); !created) return fail(std::move(created.error()));
  auto found = find_link(socket, link.name);
  if (!found) return fail(std::move(found.error()));
  if (!*found) return fail("create " + link.name + ": it went away at once");
  const std::uint32_t ifindex = (*found)->ifindex;
  if (link.alias.empty()) return ifindex;
  // The kernel heeds an alias only on a device that exists.
  if (auto set = set_link_alias(socket, ifindex, link.alias); !set) {
    auto error = std::move(set.error()).context("create " + link.name);
    const auto deleted = delete_link(socket, ifindex);
    return fail(deleted ? error : std::move(error).detail("it is left behind: " + deleted.error().what()));
  }
  return ifindex;
}

Result<> set_link_mtu(Socket& socket, std::uint32_t ifindex, std::uint32_t mtu) {
  Message message = about(RTM_NEWLINK, ifindex);
  message.put_u32(IFLA_MTU, mtu);
  return send(socket, message, "set MTU of " + text(ifindex) + " to " + std::to_string(mtu));
}

Result<> set_link_up(Socket& socket, std::uint32_t ifindex, bool up) {
  Message message = about(RTM_NEWLINK, ifindex, up ? IFF_UP : 0, IFF_UP);
  return send(socket, message, "set " + text(ifindex) + (up ? " up" : " down"));
}

Result<> set_link_noarp(Socket& socket, std::uint32_t ifindex) {
  Message message = about(RTM_NEWLINK, ifindex, IFF_NOARP, IFF_NOARP);
  return send(socket, message, "turn ARP of " + text(ifindex) + " off");
}

Result<> set_link_alias(Socket& socket, std::uint32_t ifindex, std::string_view alias) {
  Message message = about(RTM_NEWLINK, ifindex);
  // Without a terminating zero: with one, an empty alias would not be empty.
  message.put(IFLA_IFALIAS, {reinterpret_cast<const std::uint8_t*>(alias.data()), alias.size()});
  return send(socket, message, "set alias of " + text(ifindex));
}

Result<> delete_link(Socket& socket, std::uint32_t ifindex) {
  Message message = about(RTM_DELLINK, ifindex);
  return send(socket, message, "delete " + text(ifindex));
}

}  // namespace sheath::netlink
