// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "loader/plan/desired_parts.hpp"

namespace sheath::plan {
namespace {

// RFC 791: what every IPv4 host accepts; below it the tunnel would be of no use.
constexpr std::uint32_t kSmallestTunnelMtu = 576;
constexpr std::uint32_t kSmallestIpv6Mtu = 1280;  // RFC 8200, section 5

// The smallest of the uplinks' MTUs, if a tunnel with that much around its packets can work there.
Result<std::uint32_t> uplink_mtu(const Inputs& in, const std::string& engine, std::uint32_t overhead) {
  const auto& uplinks = in.facts.uplinks;
  const auto smallest = std::ranges::min_element(uplinks, {}, &Uplink::mtu);
  if (smallest == uplinks.end()) return fail(Error::misuse("no uplink").hint("set devices"));
  if (smallest->mtu < kSmallestTunnelMtu + overhead) {
    return fail(Error::misuse("devices: " + smallest->name + " has MTU " + std::to_string(smallest->mtu) + ", " +
                              engine + " needs " + std::to_string(kSmallestTunnelMtu + overhead)));
  }
  return smallest->mtu;
}

// Around VXLAN's packets: by the families that nodes send to each other with.
std::uint32_t vxlan_overhead(const Inputs& in) {
  const auto is_ipv4 = [](const IpAddress& address) { return address.family == Family::kIpv4; };
  return std::ranges::any_of(own_node(in).node_ips, is_ipv4) ? kVxlanOverheadIpv4 : kVxlanOverheadIpv6;
}

Result<Ipsec> ipsec_engine_of(const Inputs& in) {
  const auto& own = own_node(in);
  const auto is_ipv4 = [](const IpAddress& address) { return address.family == Family::kIpv4; };
  const auto& ends = has_overlay(in) ? own.router_ips : own.node_ips;
  const auto outer = std::ranges::any_of(ends, is_ipv4) ? Family::kIpv4 : Family::kIpv6;
  const auto around = has_overlay(in) ? vxlan_overhead(in) : 0;
  const auto link = uplink_mtu(in, "IPsec", around + 100);
  if (!link) return fail(link.error());
  Ipsec ipsec;
  ipsec.mtu = *link;
  for (const auto& algorithm : in.ipsec->algorithms) {
    ipsec.mtu = std::min(ipsec.mtu, keys::esp_mtu(algorithm, outer, *link - around));
  }
  return ipsec;
}

// The peers' router IPs and pod CIDRs, by way of the overlay.
Result<Overlay> overlay_of(const Inputs& in, const Peers& peers) {
  const auto link = uplink_mtu(in, "VXLAN", vxlan_overhead(in));
  if (!link) return fail(link.error());
  const auto& own = own_node(in);
  if (own.router_ips.empty()) {
    return fail(Error::misuse("routing: vxlan needs a router IP of this node, and none is known")
                    .hint("set routerIPs; a CiliumNode has it as CiliumInternalIP, a Node in the annotation "
                          "network.cilium.io/ipv4-cilium-host"));
  }
  Overlay overlay;
  overlay.mtu = *link - vxlan_overhead(in);
  overlay.up = true;
  for (const auto& address : own.router_ips) {
    if (!in.facts.local_addresses.contains(address)) overlay.addresses.insert(address);
  }
  const auto source_for = [&](Family family) -> std::optional<IpAddress> {
    const auto found = std::ranges::find(own.router_ips, family, &IpAddress::family);
    return found == own.router_ips.end() ? std::nullopt : std::optional(*found);
  };
  for (const auto* peer : peers) {
    for (const auto& address : peer->router_ips) overlay.routes[Cidr::host(address)] = source_for(address.family);
    for (const auto& cidr : peer->pod_cidrs) overlay.routes[cidr] = source_for(cidr.address.family);
  }
  return overlay;
}

Result<Tunnel> tunnel_of(const Inputs& in) {
  const auto link = uplink_mtu(in, "WireGuard", kWireguardOverhead);
  if (!link) return fail(link.error());
  Tunnel tunnel;
  tunnel.mtu = *link - kWireguardOverhead;
  tunnel.up = true;
  tunnel.rp_filter_off = true;
  tunnel.public_key = own_node(in).wireguard_key.value_or(keys::PublicKey{});
  tunnel.listen_port = in.config.wireguard.listen_port;
  tunnel.fwmark = kWireguardMark;
  return tunnel;
}

Result<> add_tunnel(const Inputs& in, const Peers& peers, Desired& desired) {
  if (is_ipsec(in)) {
    auto ipsec = ipsec_engine_of(in);
    if (!ipsec) return fail(std::move(ipsec.error()));
    desired.ipsec = std::move(*ipsec);
  } else {
    auto tunnel = tunnel_of(in);
    if (!tunnel) return fail(std::move(tunnel.error()));
    desired.tunnel = std::move(*tunnel);
  }
  if (!has_overlay(in)) return {};
  auto overlay = overlay_of(in, peers);
  if (!overlay) return fail(std::move(overlay.error()));
  desired.overlay = std::move(*overlay);
  return {};
}

bool carries_ipv6(const Inputs& in) {
  const auto& own = own_node(in);
  if (std::ranges::any_of(own.pod_cidrs, [](const Cidr& c) { return c.address.family == Family::kIpv6; })) return true;
  return in.config.node_encryption &&
         std::ranges::any_of(own.node_ips, [](const IpAddress& a) { return a.family == Family::kIpv6; });
}

// IPv6 has no link below 1280 (RFC 8200, section 5). What an underlay cannot carry in one piece WireGuard carries in
// two; the kernel's xfrm refuses to (ip6_fragment: IPv6 packets in transit are not fragmented, nor are they after ESP).
// IPv4 is held to what fits.
Result<> make_room_for_ipv6(const Inputs& in, Desired& desired) {
  if (!carries_ipv6(in)) return {};
  const auto fits = desired.tunnel ? desired.tunnel->mtu : desired.ipsec->mtu;
  if (fits >= kSmallestIpv6Mtu) return {};
  if (desired.ipsec) {
    return fail(Error::misuse("devices: the underlay leaves " + std::to_string(fits) +
                              " bytes for a packet inside ESP, and IPv6 needs 1280")
                    .hint("WireGuard carries it in fragments; or use a larger MTU, or IPv4 alone"));
  }
  desired.warnings.push_back("the underlay leaves " + std::to_string(fits) +
                             " bytes for a packet, and IPv6 needs 1280: its outer packets will be fragmented");
  desired.tunnel->mtu = kSmallestIpv6Mtu;
  desired.ipv4_mtu = fits;
  if (desired.overlay) desired.overlay->mtu = std::max(desired.overlay->mtu, kSmallestIpv6Mtu);
  return {};
}

}  // namespace

Result<> add_devices(const Inputs& in, const Peers& peers, Desired& desired) {
  if (auto done = add_tunnel(in, peers, desired); !done) return done;
  return make_room_for_ipv6(in, desired);
}

}  // namespace sheath::plan
