// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstdio>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/links.hpp"

namespace sheath::netlink {
namespace {

std::optional<MacAddress> mac_of(const Parsed<ifinfomsg>& message) {
  if (message.header.ifi_type != ARPHRD_ETHER) return std::nullopt;
  return message.attributes.value<MacAddress>(IFLA_ADDRESS);
}

// IFLA_LINK of a device that has nothing below or beside it is 0 or the device itself.
std::optional<std::uint32_t> peer_of(const Link& link, const Attributes& attributes) {
  const auto peer = attributes.u32(IFLA_LINK);
  if (!peer || *peer == 0 || (*peer == link.ifindex && !link.peer_nsid)) return std::nullopt;
  return peer;
}

// What the kind has to say (IFLA_INFO_DATA); its numbers mean something else for each kind.
void decode_data(const Attributes& data, Link& link) {
  if (link.kind == "xfrm") link.xfrm_if_id = data.u32(IFLA_XFRM_IF_ID);
  if (link.kind != "vxlan") return;
  link.vxlan = Vxlan{ntohs(data.value<std::uint16_t>(IFLA_VXLAN_PORT).value_or(0)),
                     data.value<std::uint8_t>(IFLA_VXLAN_COLLECT_METADATA).value_or(0) != 0};
}

}  // namespace

std::string mac_text(const MacAddress& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

Result<std::optional<Link>> decode_link(const Reply& reply) {
  if (reply.type != RTM_NEWLINK) return std::nullopt;
  const auto message = parse_message<ifinfomsg>(reply.payload);
  if (!message) return fail(message.error());
  const auto& attributes = message->attributes;
  const auto info = attributes.nested(IFLA_LINKINFO);
  if (!info) return fail(info.error());
  const auto data = info->nested(IFLA_INFO_DATA);
  if (!data) return fail(data.error());

  Link link;
  link.ifindex = static_cast<std::uint32_t>(message->header.ifi_index);
  link.name = attributes.string(IFLA_IFNAME).value_or("");
  if (link.name.empty()) return fail("link " + std::to_string(link.ifindex) + " has no name");
  link.kind = info->string(IFLA_INFO_KIND).value_or("");
  link.alias = attributes.string(IFLA_IFALIAS).value_or("");
  link.mtu = attributes.u32(IFLA_MTU).value_or(0);
  link.up = (message->header.ifi_flags & IFF_UP) != 0;
  link.hardware_type = message->header.ifi_type;
  link.mac = mac_of(*message);
  link.peer_nsid = attributes.value<std::int32_t>(IFLA_LINK_NETNSID);
  link.peer_ifindex = peer_of(link, attributes);
  link.master = attributes.u32(IFLA_MASTER);
  decode_data(*data, link);
  return link;
}

Message encode_new_link(const NewLink& link) {
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  message.put_struct(ifinfomsg{});
  message.put_string(IFLA_IFNAME, link.name);
  if (link.mtu != 0) message.put_u32(IFLA_MTU, link.mtu);
  auto info = message.nest(IFLA_LINKINFO);
  message.put_string(IFLA_INFO_KIND, link.kind);
  if (link.put_data) {
    auto data = message.nest(IFLA_INFO_DATA);
    link.put_data(message);
  }
  info.close();
  return message;
}

}  // namespace sheath::netlink
