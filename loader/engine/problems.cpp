// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/problems.hpp"

#include <algorithm>

#include "maps/names.hpp"

namespace sheath::engine {
namespace {

using Problems = std::vector<std::string>;

bool attached(const Status& status, sheath_direction program, const std::string& device) {
  return std::ranges::any_of(status.programs, [&](const ProgramStatus& entry) {
    return entry.program == maps::direction_name(program) && entry.device == device;
  });
}

void require(const Status& status, sheath_direction program, const std::string& device, Problems& out) {
  if (attached(status, program, device)) return;
  out.push_back(std::string(maps::direction_name(program)) + " is not attached to " + device);
}

void check_programs(const Status& status, const std::vector<std::string>& uplinks, Problems& out) {
  for (const auto& uplink : uplinks) {
    require(status, SHEATH_DIRECTION_uplink_egress, uplink, out);
    require(status, SHEATH_DIRECTION_uplink_ingress, uplink, out);
  }
  if (status.tunnel) require(status, SHEATH_DIRECTION_tunnel_ingress, status.tunnel->name, out);
  if (status.xfrm) require(status, SHEATH_DIRECTION_tunnel_ingress, status.xfrm->name, out);
  for (const auto& program : status.programs) {
    const auto where = program.program + " on " + program.device;
    if (program.tunnel == plan::TunnelReference::kFenced) out.push_back(where + " is fenced: apply did not finish");
    if (program.tunnel == plan::TunnelReference::kStale) out.push_back(where + " sends into a device that is gone");
  }
}

void check_tunnel(const Status& status, Problems& out) {
  if (!status.tunnel && !status.xfrm) out.emplace_back("there is no tunnel device");
  if (status.xfrm && !status.xfrm->up) out.push_back(status.xfrm->name + " is down");
  if (!status.tunnel) return;
  if (!status.tunnel->up) out.push_back(status.tunnel->name + " is down");
  if (!status.tunnel->public_key) out.push_back(status.tunnel->name + " has no key");
}

void check_peers(const Status& status, Problems& out) {
  for (const auto& peer : status.peers) {
    const auto name = peer.name.empty() ? "node " + std::to_string(peer.node_id) : peer.name;
    if (!peer.ready) {
      out.push_back(name + " is not ready: " + peer_state(status, peer));
    } else if (status.xfrm && peer.esp_states == 0) {
      out.push_back(name + " has no ESP states");
    } else if (!status.xfrm && !peer.public_key && !peer.pod_cidrs.empty()) {
      out.push_back(name + " is not a peer of the tunnel device");
    }
  }
}

void check_backstop(const Status& status, Problems& out) {
  if (!status.backstop_expected) return;
  if (!status.backstop) {
    out.emplace_back("nft table inet sheath is gone: a device that comes later is not closed");
  } else if (!status.backstop->intact) {
    out.emplace_back("nft table inet sheath was changed: a device that comes later may not be closed");
  }
}

// What would break if the mode were strict from now on.
void check_counters(const Status& status, Problems& out) {
  if (status.strict.value_or(false)) return;
  if (status.backstop && status.backstop->packets != 0) {
    out.push_back("permissive: " + std::to_string(status.backstop->packets) +
                  " packets passed on devices that are not covered: strict mode would have dropped them");
  }
  if (!status.metrics) return;
  std::uint64_t packets = 0;
  for (const auto& counters : *status.metrics) packets += counters.plaintext_passed.packets;
  if (packets != 0) {
    out.push_back("permissive: " + std::to_string(packets) +
                  " packets passed that strict mode would have dropped (see \"Strict mode would drop\")");
  }
}

}  // namespace

std::vector<std::string> find_problems(const Status& status, const std::vector<std::string>& uplinks) {
  Problems out;
  if (status.pins != plan::Pins::kAll) out.push_back("not all maps are pinned below " + status.bpffs);
  check_programs(status, uplinks, out);
  check_tunnel(status, out);
  check_peers(status, out);
  check_backstop(status, out);
  check_counters(status, out);
  return out;
}

}  // namespace sheath::engine
