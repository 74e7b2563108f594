// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/tunnel_links.hpp"

#include <arpa/inet.h>
#include <linux/if_link.h>

namespace sheath::netlink {

NewLink xfrm_link(const std::string& name, std::uint32_t if_id) {
  NewLink link;
  link.name = name;
  link.kind = "xfrm";
  link.put_data = [if_id](Message& message) { message.put_u32(IFLA_XFRM_IF_ID, if_id); };
  return link;
}

NewLink vxlan_link(const std::string& name, std::uint16_t port) {
  NewLink link;
  link.name = name;
  link.kind = "vxlan";
  link.put_data = [port](Message& message) {
    message.put_u8(IFLA_VXLAN_COLLECT_METADATA, 1);
    message.put_u16(IFLA_VXLAN_PORT, htons(port));
    message.put_u8(IFLA_VXLAN_LEARNING, 0);
    message.put_u8(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
  };
  return link;
}

}  // namespace sheath::netlink
