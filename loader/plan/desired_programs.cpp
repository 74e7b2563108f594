// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "loader/plan/desired_parts.hpp"
#include "loader/plan/detour.hpp"
#include "loader/state/opt_out.hpp"
#include "maps/lengths.hpp"
#include "maps/own_pods.hpp"

namespace sheath::plan {
namespace {

constexpr std::uint8_t kEthernetHeader = 14;
constexpr std::size_t kMaxLengths = SHEATH_MAX_LENGTHS / 2;  // the other half: those of the state before
constexpr std::uint8_t kNoHeader = 0;                        // cilium_wg0: packets start at their IP header

// rp_filter of `all` counts even where the device's own is off, and drops what comes out of a device without address.
bool via_uplink(const Inputs& in) {
  switch (in.config.delivery) {
    case state::Delivery::kStack:
      return false;
    case state::Delivery::kUplink:
      return true;
    case state::Delivery::kAuto:
      break;
  }
  return in.facts.all_rp_filter != 0;
}

// The overlay or uplink by which most of these addresses are reached: their packets are to seem to come from there.
std::string way_to(const std::set<IpAddress>& addresses, const Inputs& in) {
  std::map<std::string, std::size_t> reached;
  for (const auto& [address, way] : detour_to(addresses, in.facts.routes).routes) {
    const auto overlay = std::ranges::find(in.facts.overlays, way.ifindex, &OverlayDevice::ifindex);
    if (overlay != in.facts.overlays.end()) ++reached[overlay->name];
    const auto uplink = std::ranges::find(in.facts.uplinks, way.ifindex, &Uplink::ifindex);
    if (uplink != in.facts.uplinks.end()) ++reached[uplink->name];
  }
  const auto most = std::ranges::max_element(reached, {}, [](const auto& entry) { return entry.second; });
  return most == reached.end() ? in.facts.uplinks.front().name : most->first;
}

std::string node_uplink(const Inputs& in) {
  std::set<IpAddress> nodes;
  for (const auto* peer : peers_of(in)) nodes.insert(peer->node_ips.begin(), peer->node_ips.end());
  return way_to(nodes, in);
}

std::string pod_uplink(const Inputs& in) {
  if (has_overlay(in)) return kOverlayDevice;
  std::set<IpAddress> pods;
  for (const auto* peer : peers_of(in)) {
    for (const auto& cidr : peer->pod_cidrs) pods.insert(cidr.address);
  }
  return way_to(pods, in);
}

ProgramSettings settings_of(const Inputs& in, Program program, std::uint8_t l2_len) {
  ProgramSettings settings;
  if (const auto build = in.facts.builds.find(program); build != in.facts.builds.end()) settings.build = build->second;
  settings.tunnel = TunnelReference::kTunnel;
  settings.engine = is_ipsec(in) ? Engine::kIpsec : Engine::kWireguard;
  if (!is_ipsec(in)) settings.wireguard_port = in.config.wireguard.listen_port;
  if (has_overlay(in)) settings.vxlan_port = kVxlanPort;
  settings.l2_len = l2_len;
  settings.strict = in.config.mode == state::Mode::kStrict;
  settings.trace = in.facts.trace;
  if (in.config.node_encryption) {
    settings.node_encryption = state::is_opted_out(in.config, own_node(in)) ? SHEATH_NODE_ENCRYPTION_opted_out
                                                                            : SHEATH_NODE_ENCRYPTION_enabled;
  }
  return settings;
}

ProgramSettings tunnel_ingress_settings(const Inputs& in) {
  // What comes out of cilium_xfrm0 still has the Ethernet header that the outer packet came with.
  auto settings = settings_of(in, SHEATH_DIRECTION_tunnel_ingress, is_ipsec(in) ? kEthernetHeader : kNoHeader);
  settings.fast_path = in.config.fast_path;
  // What IPsec decrypted is spared by the reverse path filter.
  settings.via_uplink = !is_ipsec(in) && via_uplink(in);
  if (!settings.via_uplink) return settings;
  settings.uplink = node_uplink(in);
  settings.pod_uplink = pod_uplink(in);
  return settings;
}

void add_uplink_programs(const Inputs& in, const std::string& device, std::uint8_t l2_len, Desired& desired) {
  for (const auto program : {SHEATH_DIRECTION_uplink_egress, SHEATH_DIRECTION_uplink_ingress}) {
    desired.programs[{program, device}] = settings_of(in, program, l2_len);
  }
}

void attach_all(const Inputs& in, Desired& desired) {
  for (const auto& uplink : in.facts.uplinks) {
    add_uplink_programs(in, uplink.name, uplink.l2_len, desired);
  }
  for (const auto& overlay : in.facts.overlays) {
    if (is_to_be_covered(in, overlay)) add_uplink_programs(in, overlay.name, overlay.l2_len, desired);
  }
  if (desired.overlay) {
    for (const auto program : {SHEATH_DIRECTION_overlay_egress, SHEATH_DIRECTION_uplink_ingress}) {
      auto settings = settings_of(in, program, kEthernetHeader);
      settings.overlay = true;
      desired.programs[{program, kOverlayDevice}] = settings;
    }
  }
  desired.programs[{SHEATH_DIRECTION_tunnel_ingress, is_ipsec(in) ? kXfrmDevice : kWireguardDevice}] =
      tunnel_ingress_settings(in);
  if (!in.config.fast_path) return;
  for (const auto& [address, pod] : in.facts.pods) {
    auto settings = settings_of(in, SHEATH_DIRECTION_pod_egress, kEthernetHeader);
    settings.fast_path = true;
    desired.programs[{SHEATH_DIRECTION_pod_egress, pod.device}] = settings;
    desired.maps.endpoints[address] = pod.entry;
  }
}

// The same for all programs.
Result<> add_lengths(const Inputs& in, Desired& desired) {
  std::vector<Cidr> prefixes;
  for (const auto& [cidr, owner] : desired.maps.pod_cidrs) prefixes.push_back(cidr);
  const auto lengths = maps::lengths_of(prefixes, in.config.cluster_pod_cidrs);
  if (maps::more_than(kMaxLengths, lengths)) {
    return fail(Error::misuse("nodes: the pod CIDRs of a family have more than " + std::to_string(kMaxLengths) +
                              " different lengths"));
  }
  for (auto& [where, settings] : desired.programs) settings.lengths = lengths;
  return {};
}

// Who sends through a program: the pod behind a pod's device, else all pods of this node.
std::set<Cidr> senders_of(const Inputs& in, const Attachment& where) {
  if (where.program != SHEATH_DIRECTION_pod_egress) {
    const auto& pods = own_node(in).pod_cidrs;
    return maps::own_pods_of({pods.begin(), pods.end()});
  }
  std::set<Cidr> addresses;
  for (const auto& [address, pod] : in.facts.pods) {
    if (pod.device == where.device) addresses.insert(Cidr::host(address));
  }
  return maps::own_pods_of(addresses);
}

// What programs need not look up.
void add_constants(const Inputs& in, Desired& desired) {
  const auto mtu = desired.tunnel ? desired.tunnel->mtu : desired.ipsec->mtu;
  for (auto& [where, settings] : desired.programs) {
    settings.ipv4_mtu = static_cast<std::uint16_t>(desired.ipv4_mtu);
    settings.tunnel_mtu = static_cast<std::uint16_t>(std::min<std::uint32_t>(mtu, UINT16_MAX));
    settings.own_pods = senders_of(in, where);
  }
}

}  // namespace

Result<> add_programs(const Inputs& in, Desired& desired) {
  attach_all(in, desired);
  if (auto done = add_lengths(in, desired); !done) return done;
  add_constants(in, desired);
  return {};
}

}  // namespace sheath::plan
