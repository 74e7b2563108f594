// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/concern.hpp"

#include <algorithm>

namespace sheath::plan {
namespace {

using Peer = std::optional<std::string>;

class Concern {
 public:
  explicit Concern(const Names& names) : names_(names) {}

  Peer operator()(const SetTunnelPeer& step) const { return by_key(step.key); }
  Peer operator()(const DropAllowedIps& step) const { return by_key(step.key); }
  Peer operator()(const RemoveTunnelPeer& step) const { return by_key(step.key); }
  Peer operator()(const SetNodeIp& step) const { return by_owner(step.owner); }
  Peer operator()(const SetPodCidr& step) const { return by_owner(step.owner); }
  Peer operator()(const SetPeer& step) const { return by_id(step.node_id); }
  Peer operator()(const DeletePeer& step) const { return by_id(step.node_id); }
  Peer operator()(const AddState& step) const { return by_id(step.state.node_id); }
  Peer operator()(const DropState& step) const { return by_id(step.state.node_id); }
  Peer operator()(const SetPolicies& step) const { return by_policies(step.policies); }
  Peer operator()(const DropPolicies& step) const { return by_policies(step.policies); }
  Peer operator()(const ForgetHeard& step) const { return by_id(step.node_id); }
  Peer operator()(const auto&) const { return std::nullopt; }

 private:
  std::string by_id(std::uint16_t id) const { return name_of(id, names_); }
  std::string by_key(const keys::PublicKey& key) const {
    const auto name = names_.keys.find(key);
    return name == names_.keys.end() ? "key " + key.text() : name->second;
  }
  Peer by_owner(const Owner& owner) const {
    return owner.kind == SHEATH_KIND_remote ? Peer(by_id(owner.node_id)) : std::nullopt;
  }
  Peer by_policies(const std::set<EspPolicy>& policies) const {
    if (policies.empty()) return std::nullopt;
    const auto id = policies.begin()->node_id;
    const bool all = std::ranges::all_of(policies, [&](const EspPolicy& policy) { return policy.node_id == id; });
    return all ? Peer(by_id(id)) : std::nullopt;
  }

  const Names& names_;
};

}  // namespace

std::string name_of(std::uint16_t node_id, const Names& names) {
  const auto name = names.nodes.find(node_id);
  return name == names.nodes.end() ? "node " + std::to_string(node_id) : name->second;
}

std::optional<std::string> peer_of(const Step& step, const Names& names) {
  return std::visit(Concern(names), step);
}

}  // namespace sheath::plan
