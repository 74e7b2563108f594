// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loader/bpf/attachment.hpp"
#include "loader/engine/translate.hpp"
#include "loader/netlink/backstop.hpp"
#include "loader/netlink/links.hpp"
#include "loader/netlink/wireguard.hpp"
#include "loader/netlink/xfrm.hpp"
#include "loader/plan/model.hpp"

namespace sheath::engine {

// Set on the tunnel device when it is made: only a device that carries it is ours to change or remove.
inline constexpr const char* kOwnAlias = "sheath";

// The tunnel device as the kernel shows it.
struct TunnelDevice {
  netlink::Link link;
  netlink::WireGuardDevice wireguard;
};

struct Observation {
  plan::Actual actual;
  std::vector<netlink::XfrmStateReport> esp_states;  // ours, in the order of actual.ipsec.states
  // For those who want more than the planner does.
  std::optional<TunnelDevice> tunnel;
  std::vector<bpf::Attached> attached;
  DeviceNames devices;
  std::optional<netlink::BackstopReport> backstop;
  std::uint32_t xfrm_ifindex = 0;    // of our cilium_xfrm0; 0: there is none
  std::vector<std::string> foreign;  // devices that have the names of ours and are not
};

// Where to look, beside the kernel. `publication` is the file that this node publishes; empty: not looked at.
struct Places {
  std::filesystem::path bpffs;
  std::filesystem::path run;
  std::filesystem::path publication;
};

// What is on this node now.
Result<Observation> observe(netlink::Socket& socket, const Places& places);

}  // namespace sheath::engine
