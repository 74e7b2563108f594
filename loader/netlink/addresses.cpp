// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/addresses.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/wire_address.hpp"

namespace sheath::netlink {
namespace {

Message about(std::uint16_t type, std::uint16_t flags, std::uint32_t ifindex, const IpAddress& address) {
  Message message(type, flags);
  ifaddrmsg header{};
  header.ifa_family = static_cast<std::uint8_t>(address_family(address.family));
  header.ifa_prefixlen = static_cast<std::uint8_t>(address.size() * 8);
  header.ifa_index = ifindex;
  message.put_struct(header);
  message.put(IFA_LOCAL, address_bytes(address));
  message.put(IFA_ADDRESS, address_bytes(address));
  return message;
}

// True: done; false: the error that means that nothing was to do.
Result<bool> send(Socket& socket, Message message, int nothing_to_do, const std::string& doing) {
  auto done = socket.request(message);
  if (done) return true;
  if (done.error().error_number() == nothing_to_do) return false;
  return fail(std::move(done.error()).context(doing));
}

}  // namespace

Result<std::optional<InterfaceAddress>> decode_address(const Reply& reply) {
  if (reply.type != RTM_NEWADDR) return std::nullopt;
  const auto message = parse_message<ifaddrmsg>(reply.payload);
  if (!message) return fail(message.error());
  const auto& [header, attributes] = *message;
  const auto family = family_of(header.ifa_family);
  if (!family) return std::nullopt;
  // IPv4 always has IFA_LOCAL; IPv6 has it beside the far end's address only.
  const auto local = attributes.find(IFA_LOCAL);
  const auto address = read_address(*family, local ? local : attributes.find(IFA_ADDRESS));
  if (!address || header.ifa_prefixlen > address->size() * 8) {
    return fail("address of link " + std::to_string(header.ifa_index) + " is malformed");
  }
  const std::uint32_t flags = attributes.u32(IFA_FLAGS).value_or(header.ifa_flags);
  InterfaceAddress out;
  out.ifindex = header.ifa_index;
  out.address = *address;
  out.prefix_length = header.ifa_prefixlen;
  out.scope = static_cast<Scope>(header.ifa_scope);
  // An optimistic address is in use while its check runs.
  out.tentative = (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
  out.deprecated = (flags & IFA_F_DEPRECATED) != 0;
  // The same bit means "temporary" for IPv6.
  out.secondary = *family == Family::kIpv4 && (flags & IFA_F_SECONDARY) != 0;
  return out;
}

Result<std::vector<InterfaceAddress>> list_addresses(Socket& socket, std::uint32_t ifindex) {
  Message message(RTM_GETADDR);
  ifaddrmsg header{};
  header.ifa_index = ifindex;
  message.put_struct(header);
  auto addresses = dump_list<InterfaceAddress>(socket, message, decode_address);
  if (addresses) {
    std::ranges::stable_sort(*addresses, {}, [](const InterfaceAddress& a) { return a.address.family; });
    return addresses;
  }
  if (addresses.error().error_number() == ENODEV) return std::vector<InterfaceAddress>{};
  return fail(std::move(addresses.error()).context("list addresses"));
}

Message encode_add_address(std::uint32_t ifindex, const IpAddress& address) {
  Message message = about(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, address);
  const std::uint32_t flags = address.family == Family::kIpv6 ? IFA_F_NODAD : 0;
  message.put_u32(IFA_FLAGS, flags | IFA_F_NOPREFIXROUTE);
  return message;
}

Message encode_delete_address(std::uint32_t ifindex, const IpAddress& address) {
  return about(RTM_DELADDR, 0, ifindex, address);
}

Result<bool> add_address(Socket& socket, std::uint32_t ifindex, const IpAddress& address) {
  return send(socket, encode_add_address(ifindex, address), EEXIST,
              "add address " + address.text() + " to link " + std::to_string(ifindex));
}

Result<bool> delete_address(Socket& socket, std::uint32_t ifindex, const IpAddress& address) {
  return send(socket, encode_delete_address(ifindex, address), EADDRNOTAVAIL,
              "delete address " + address.text() + " of link " + std::to_string(ifindex));
}

}  // namespace sheath::netlink
