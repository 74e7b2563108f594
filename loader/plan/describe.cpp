// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/describe.hpp"

#include <nlohmann/json.hpp>

#include "maps/names.hpp"

namespace sheath::plan {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

std::string counted(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string joined(const std::set<Cidr>& cidrs) {
  std::string out;
  for (const auto& cidr : cidrs) out += (out.empty() ? "" : ", ") + cidr.text();
  return out;
}

std::string settings_text(const ProgramSettings& settings, const std::string& tunnel) {
  std::string out = settings.strict ? "strict" : "permissive";
  out += settings.tunnel == TunnelReference::kTunnel ? ", tunnel " + tunnel : ", fenced: no tunnel yet";
  if (settings.fast_path) out += ", fast path";
  if (settings.via_uplink) out += ", delivery via " + settings.uplink;
  return out;
}

std::string program_name(Program program) {
  return std::string(maps::direction_name(program));
}

std::string place(const Attachment& where) {
  return program_name(where.program) + " to " + where.device;
}

class Describer {
 public:
  explicit Describer(const Names& names) : names_(names) {}

  StepDescription operator()(const Fence& step) const {
    std::string text = "close the node: pin the maps";
    if (!step.maps.node_ips.empty() || !step.maps.pod_cidrs.empty()) {
      text += ", write " + counted(step.maps.node_ips.size(), "node IP") + " and " +
              counted(step.maps.pod_cidrs.size(), "pod CIDR");
    }
    std::string programs;
    for (const auto& [where, settings] : step.programs) programs += (programs.empty() ? "" : ", ") + place(where);
    text += ", attach " + programs;
    if (!step.programs.empty()) text += " (" + settings_text(step.programs.begin()->second, kWireguardDevice) + ")";
    return {"fence", text, {{"programs", programs}}};
  }
  StepDescription operator()(const CreateMaps&) const { return {"create-maps", "create and pin the maps", {}}; }
  StepDescription operator()(const CreateTunnel& step) const {
    return {"create-tunnel", "create " + step.name, {{"device", step.name}}};
  }
  StepDescription operator()(const ConfigureTunnel& step) const {
    const auto port = std::to_string(step.listen_port);
    return {"configure-tunnel",
            "configure " + step.name + ": public key " + step.public_key.text() + ", port " + port,
            {{"device", step.name}, {"public_key", step.public_key.text()}, {"port", port}}};
  }
  StepDescription operator()(const SetTunnelMtu& step) const {
    const auto mtu = std::to_string(step.mtu);
    return {"set-tunnel-mtu", "set the MTU of " + step.name + " to " + mtu, {{"device", step.name}, {"mtu", mtu}}};
  }
  StepDescription operator()(const SetRpFilterOff& step) const {
    return {"set-rp-filter-off", "turn rp_filter of " + step.name + " off", {{"device", step.name}}};
  }
  StepDescription operator()(const SetTunnelUp& step) const {
    return {"set-tunnel-up", "set " + step.name + " up", {{"device", step.name}}};
  }
  StepDescription operator()(const Publish& step) const {
    return {"publish", "publish this node's object as " + step.publication.path, {{"path", step.publication.path}}};
  }
  StepDescription operator()(const Withdraw& step) const {
    return {"withdraw", "withdraw this node's object " + step.path, {{"path", step.path}}};
  }
  StepDescription operator()(const SetTunnelPeer& step) const {
    std::string what;
    if (step.endpoint) what += ", endpoint " + step.endpoint->text();
    if (step.keepalive) what += ", keepalive " + std::to_string(*step.keepalive) + " s";
    if (!step.add_allowed_ips.empty()) what += ", allowed IPs " + joined(step.add_allowed_ips);
    auto fields = peer_fields(step.name, step.key);
    if (step.endpoint) fields.emplace_back("endpoint", step.endpoint->text());
    if (!step.add_allowed_ips.empty()) fields.emplace_back("allowed_ips", joined(step.add_allowed_ips));
    return {"set-tunnel-peer",
            (step.create ? "add peer " : "change peer ") + peer(step.key) + " of " + step.name + what, fields};
  }
  StepDescription operator()(const DropAllowedIps& step) const {
    auto fields = peer_fields(step.name, step.key);
    fields.emplace_back("allowed_ips", joined(step.allowed_ips));
    return {"drop-allowed-ips",
            "take allowed IPs " + joined(step.allowed_ips) + " from peer " + peer(step.key) + " of " + step.name,
            fields};
  }
  StepDescription operator()(const RemoveTunnelPeer& step) const {
    return {"remove-tunnel-peer", "remove peer " + peer(step.key) + " of " + step.name,
            peer_fields(step.name, step.key)};
  }
  StepDescription operator()(const SetNodeIp& step) const {
    return owner_step("set-node-ip", "node IP " + step.address.text(), step.owner);
  }
  StepDescription operator()(const SetPodCidr& step) const {
    return owner_step("set-pod-cidr", "pod CIDR " + step.cidr.text(), step.owner);
  }
  StepDescription operator()(const SetPeer& step) const {
    const std::string state = step.entry.ready ? "ready" : "not ready";
    return {"set-peer",
            "mark " + node(step.node_id) + " " + state,
            {{"node_id", std::to_string(step.node_id)}, {"state", state}}};
  }
  StepDescription operator()(const SetEndpoint& step) const {
    return {"set-endpoint",
            "deliver " + step.address.text() + " to device " + std::to_string(step.entry.ifindex),
            {{"address", step.address.text()}, {"ifindex", std::to_string(step.entry.ifindex)}}};
  }
  StepDescription operator()(const DeleteNodeIp& step) const {
    return {"delete-node-ip", "forget node IP " + step.address.text(), {{"address", step.address.text()}}};
  }
  StepDescription operator()(const DeletePodCidr& step) const {
    return {"delete-pod-cidr", "forget pod CIDR " + step.cidr.text(), {{"cidr", step.cidr.text()}}};
  }
  StepDescription operator()(const DeletePeer& step) const {
    return {"delete-peer", "forget " + node(step.node_id), {{"node_id", std::to_string(step.node_id)}}};
  }
  StepDescription operator()(const DeleteEndpoint& step) const {
    return {"delete-endpoint", "forget endpoint " + step.address.text(), {{"address", step.address.text()}}};
  }
  StepDescription operator()(const Attach& step) const {
    const auto settings = settings_text(step.settings, kWireguardDevice);
    return {"attach",
            "attach " + place(step.where) + " (" + settings + ")",
            {{"program", program_name(step.where.program)}, {"device", step.where.device}, {"settings", settings}}};
  }
  StepDescription operator()(const Detach& step) const {
    const auto program = program_name(step.where.program);
    return {"detach",
            "detach " + program + " from " + step.where.device,
            {{"program", program}, {"device", step.where.device}}};
  }
  StepDescription operator()(const RemoveTunnel& step) const {
    return {"remove-tunnel", "remove " + step.name, {{"device", step.name}}};
  }
  StepDescription operator()(const RemoveMaps&) const { return {"remove-maps", "unpin the maps", {}}; }

 private:
  std::string node(std::uint16_t id) const {
    const auto found = names_.nodes.find(id);
    const auto number = "node " + std::to_string(id);
    return found == names_.nodes.end() ? number : found->second + " (" + number + ")";
  }

  std::string peer(const keys::PublicKey& key) const {
    const auto found = names_.keys.find(key);
    return found == names_.keys.end() ? key.text() : found->second;
  }

  Fields peer_fields(const std::string& device, const keys::PublicKey& key) const {
    Fields fields{{"device", device}, {"public_key", key.text()}};
    if (const auto found = names_.keys.find(key); found != names_.keys.end())
      fields.emplace_back("node", found->second);
    return fields;
  }

  StepDescription owner_step(const std::string& action, const std::string& what, const Owner& owner) const {
    std::string whose = "this node's";
    if (owner.kind == SHEATH_KIND_remote) whose = "of " + node(owner.node_id);
    if (owner.kind == SHEATH_KIND_cluster) whose = "the cluster's";
    return {action, what + " is " + whose, {{"prefix", what.substr(what.rfind(' ') + 1)}, {"owner", whose}}};
  }

  const Names& names_;
};

}  // namespace

StepDescription describe(const Step& step, const Names& names) {
  return std::visit(Describer(names), step);
}

std::string plan_json(const Plan& plan, const Names& names) {
  auto out = nlohmann::ordered_json::array();
  for (const auto& step : plan) {
    const auto description = describe(step, names);
    nlohmann::ordered_json object{{"action", description.action}, {"text", description.text}};
    for (const auto& [name, value] : description.fields) object[name] = value;
    out.push_back(std::move(object));
  }
  return out.dump(2);
}

}  // namespace sheath::plan
