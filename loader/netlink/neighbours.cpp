// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/neighbours.hpp"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/wire_address.hpp"

namespace sheath::netlink {

bool Neighbour::valid() const {
  constexpr unsigned kUsable = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
  return mac.has_value() && (state & kUsable) != 0;
}

Result<std::optional<Neighbour>> decode_neighbour(const Reply& reply) {
  if (reply.type != RTM_NEWNEIGH) return std::nullopt;
  const auto message = parse_message<ndmsg>(reply.payload);
  if (!message) return fail(message.error());
  const auto& [header, attributes] = *message;
  const auto family = family_of(header.ndm_family);
  if (!family) return std::nullopt;
  const auto address = read_address(*family, attributes.find(NDA_DST));
  if (!address) return fail("neighbour of link " + std::to_string(header.ndm_ifindex) + " has no address");
  Neighbour out;
  out.ifindex = static_cast<std::uint32_t>(header.ndm_ifindex);
  out.address = *address;
  out.mac = attributes.value<MacAddress>(NDA_LLADDR);
  out.state = header.ndm_state;
  return out;
}

Result<std::vector<Neighbour>> list_neighbours(Socket& socket, std::uint32_t ifindex) {
  Message message(RTM_GETNEIGH);
  message.put_struct(ndmsg{});
  if (ifindex != 0) message.put_u32(NDA_IFINDEX, ifindex);
  auto neighbours = dump_list<Neighbour>(socket, message, decode_neighbour);
  if (!neighbours) return fail(std::move(neighbours.error()).context("list neighbours"));
  return neighbours;
}

}  // namespace sheath::netlink
