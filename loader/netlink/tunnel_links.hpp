// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "loader/netlink/links.hpp"

// What is special to the tunnel devices: their data for create_link. What a device says of itself is in Link.
namespace sheath::netlink {

// The port of Linux' own VXLAN, older than the assigned 4789; Cilium uses it too.
inline constexpr std::uint16_t kVxlanPort = 8472;

// A device "xfrm" for the states and policies of that if_id, which must not be 0. It stands on no other device: the
// outer packets are routed like any.
NewLink xfrm_link(const std::string& name, std::uint32_t if_id);

// A device "vxlan" in external mode: a BPF program gives each packet its tunnel key (peer, VNI), and nothing is learnt.
// It takes UDP without a checksum over IPv6 as well: what it carries is checked by ESP or by its own checksums, and
// whether the sender computes one is a flag of its tunnel key.
NewLink vxlan_link(const std::string& name, std::uint16_t port = kVxlanPort);

}  // namespace sheath::netlink
