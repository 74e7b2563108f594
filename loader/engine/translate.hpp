// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "loader/bpf/attachment.hpp"
#include "loader/bpf/pinned_maps.hpp"
#include "loader/netlink/links.hpp"
#include "loader/netlink/routes.hpp"
#include "loader/netlink/rules.hpp"
#include "loader/netlink/wireguard.hpp"
#include "loader/netlink/xfrm.hpp"
#include "loader/plan/model.hpp"
#include "loader/plan/step.hpp"

// Between the planner's words and those of netlink and the maps. Pure.
namespace sheath::engine {

// Device names by index, of one moment.
using DeviceNames = std::map<std::uint32_t, std::string>;
DeviceNames device_names(const std::vector<netlink::Link>& links);

bpf::Place to_place(const plan::Attachment& where);
plan::Attachment to_attachment(const bpf::Place& place);

// Devices by their index; 0 where there is none.
struct DeviceIndexes {
  std::uint32_t tunnel = 0;
  std::uint32_t uplink = 0;      // settings.uplink
  std::uint32_t pod_uplink = 0;  // settings.pod_uplink
};

sheath_config to_config(const plan::ProgramSettings& settings, const DeviceIndexes& devices);
// Of our tunnel devices, 0 without one.
struct TunnelIndexes {
  std::uint32_t wireguard = 0;
  std::uint32_t ipsec = 0;
};
// An uplink that is gone becomes "?", which no device is called.
plan::ProgramSettings to_settings(const sheath_config& config, const TunnelIndexes& tunnels,
                                  const DeviceNames& devices);

plan::Tunnel to_tunnel(const netlink::Link& link, const netlink::WireGuardDevice& device, bool rp_filter_off);
netlink::WireGuardPeerPatch to_patch(const plan::SetTunnelPeer& step);

// The rule that leads outer packets to the detour, and a route in it.
netlink::Rule detour_rule(Family family);
netlink::NewRoute detour_route(const IpAddress& to, const plan::Way& way);

netlink::XfrmState to_xfrm(const plan::EspState& state, std::uint32_t replay_window);
netlink::XfrmPolicy to_xfrm(const plan::EspPolicy& policy);
// nullopt for what is not of our making.
std::optional<plan::EspState> from_xfrm(const netlink::XfrmState& state);
std::optional<plan::EspPolicy> from_xfrm(const netlink::XfrmPolicy& policy);
// Those that let decrypted packets into the host stack, both directions and families.
std::vector<netlink::XfrmPolicy> delivery_policies();

sheath_owner to_owner(const plan::Owner& owner);
sheath_peer to_peer(const plan::PeerEntry& entry);
sheath_endpoint to_endpoint(const plan::EndpointEntry& entry);
plan::Owner from_owner(const sheath_owner& owner);
plan::PeerEntry from_peer(const sheath_peer& peer);
plan::Heard from_heard(const sheath_heard& heard);
plan::EndpointEntry from_endpoint(const sheath_endpoint& endpoint);

}  // namespace sheath::engine
