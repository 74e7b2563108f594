// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/standing.hpp"

#include <algorithm>
#include <type_traits>

namespace sheath::plan {

Standing::Standing(const Desired& done) : ids_in_use_(SHEATH_NODE_ID_MAX + 1) {
  frame_.pins = Pins::kAll;
  if (done.tunnel) {
    const auto& tunnel = *done.tunnel;
    frame_.tunnel = Tunnel{tunnel.name,       tunnel.mtu,         tunnel.up,     tunnel.rp_filter_off,
                           tunnel.public_key, tunnel.listen_port, tunnel.fwmark, {}};
  }
  if (done.ipsec) {
    frame_.ipsec.device = XfrmDevice{done.ipsec->mtu, true};
    frame_.ipsec.delivery_policies = true;
    frame_.ipsec.sessions = true;
  }
  frame_.programs = done.programs;
  if (done.backstop) frame_.backstop = digest(*done.backstop);
  frame_.publication = done.publication;
  absorb({}, done);
}

std::uint16_t Standing::id_of(const std::string& peer) const {
  const auto found = ids_.find(peer);
  return found == ids_.end() ? std::uint16_t{0} : found->second;
}

Maps Standing::claims(std::span<const state::Node> former) const {
  Maps out;
  for (const auto& node : former) {
    const Owner owner{SHEATH_KIND_remote, id_of(node.name)};
    for (const auto& address : node.node_ips) out.node_ips[address] = owner;
    for (const auto& cidr : node.pod_cidrs) out.pod_cidrs[cidr] = owner;
  }
  return out;
}

Actual Standing::about(const Desired& former) const {
  Actual out = frame_;
  out.maps = former.maps;
  if (out.tunnel && former.tunnel) out.tunnel->peers = former.tunnel->peers;
  return out;
}

void Standing::absorb(const std::set<std::string>& names, const Desired& part) {
  for (const auto& name : names) {
    const auto found = ids_.find(name);
    if (found == ids_.end()) continue;
    ids_in_use_[found->second] = false;
    ids_.erase(found);
  }
  for (const auto& [id, name] : part.names.nodes) {
    ids_[name] = id;
    ids_in_use_[id] = true;
  }
}

bool keep_lengths(const Actual& actual, Desired& part) {
  for (auto& [where, settings] : part.programs) {
    const auto now = actual.programs.find(where);
    if (now == actual.programs.end()) return false;
    if (maps::merged(now->second.lengths, settings.lengths) != now->second.lengths) return false;
    settings.lengths = now->second.lengths;
  }
  return true;
}

bool is_about_peers(const Plan& plan) {
  return std::ranges::all_of(plan, [](const Step& step) {
    return std::visit(
        []<typename One>(const One&) {
          return std::is_same_v<One, SetNodeIp> || std::is_same_v<One, SetPodCidr> || std::is_same_v<One, SetPeer> ||
                 std::is_same_v<One, SetTunnelPeer> || std::is_same_v<One, DropAllowedIps> ||
                 std::is_same_v<One, RemoveTunnelPeer> || std::is_same_v<One, DeleteNodeIp> ||
                 std::is_same_v<One, DeletePodCidr> || std::is_same_v<One, DeletePeer> ||
                 std::is_same_v<One, AddState> || std::is_same_v<One, DropState> || std::is_same_v<One, RecordPairs> ||
                 std::is_same_v<One, SetPolicies> || std::is_same_v<One, DropPolicies> ||
                 std::is_same_v<One, SendProbes> || std::is_same_v<One, ForgetHeard>;
        },
        step);
  });
}

}  // namespace sheath::plan
