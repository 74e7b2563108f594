// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loader/bpf/attachment.hpp"
#include "loader/engine/translate.hpp"
#include "loader/netlink/links.hpp"
#include "loader/netlink/wireguard.hpp"
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
  // For those who want more than the planner does.
  std::optional<TunnelDevice> tunnel;
  std::vector<bpf::Attached> attached;
  DeviceNames devices;
  bool foreign_tunnel = false;  // a device of that name is there, and not ours
};

// What is on this node now. `publication` is the file that this node publishes; empty: not looked at.
Result<Observation> observe(netlink::Socket& socket, const std::filesystem::path& bpffs,
                            const std::filesystem::path& publication);

}  // namespace sheath::engine
