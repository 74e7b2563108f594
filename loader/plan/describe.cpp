// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/describe.hpp"

#include <cstdio>
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

std::string settings_text(const ProgramSettings& settings) {
  const std::string tunnel = settings.engine == Engine::kIpsec ? kXfrmDevice : kWireguardDevice;
  std::string out = settings.strict ? "strict" : "permissive";
  out += settings.tunnel == TunnelReference::kTunnel ? ", tunnel " + tunnel : ", fenced: no tunnel yet";
  if (settings.fast_path) out += ", fast path";
  if (settings.via_uplink) out += ", delivery via " + settings.uplink;
  if (settings.pod_uplink != settings.uplink) out += ", from pods via " + settings.pod_uplink;
  return out;
}

std::string program_name(Program program) {
  return std::string(maps::direction_name(program));
}

std::string family(Family value) {
  return value == Family::kIpv4 ? "4" : "6";
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
    if (!step.programs.empty()) text += " (" + settings_text(step.programs.begin()->second) + ")";
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
    const std::string traffic(maps::node_traffic_name(step.entry.node_traffic));
    const bool plain = step.entry.node_traffic == SHEATH_NODE_TRAFFIC_plain;
    return {"set-peer",
            "mark " + node(step.node_id) + " " + state + (plain ? "" : ", node traffic " + traffic),
            {{"node_id", std::to_string(step.node_id)}, {"state", state}, {"node_traffic", traffic}}};
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
    const auto settings = settings_text(step.settings);
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

  StepDescription operator()(const CreateXfrm& step) const {
    return {"create-tunnel", "create " + step.name, {{"device", step.name}}};
  }
  StepDescription operator()(const SetDeliveryPolicies&) const {
    return {"set-delivery-policies", "let decrypted packets into the host stack", {}};
  }
  StepDescription operator()(const DrawSession& step) const {
    const auto generation = std::to_string(step.generation);
    return {"draw-session",
            "draw this node's session for key " + generation,
            {{"key_id", generation}, {"key_file_id", std::to_string(step.psk_id)}}};
  }
  StepDescription operator()(const RetireSession& step) const {
    const auto generation = std::to_string(step.generation);
    return {"retire-session", "wipe this node's session for key " + generation, {{"key_id", generation}}};
  }
  StepDescription operator()(const AddState& step) const {
    auto fields = state_fields(step.state);
    fields.emplace_back("session_key", step.session_key.text());
    return {"add-state", "add the " + state_text(step.state), fields};
  }
  StepDescription operator()(const DropState& step) const {
    return {"drop-state", "remove the " + state_text(step.state), state_fields(step.state)};
  }
  StepDescription operator()(const RecordPairs& step) const {
    const auto generation = std::to_string(step.generation);
    return {"record-pairs",
            "record that key " + generation + " is in use with " + counted(step.sessions.size(), "peer"),
            {{"key_id", generation}, {"peers", std::to_string(step.sessions.size())}}};
  }
  StepDescription operator()(const SetPolicies& step) const {
    return policies_step("set-policies", "send", step.policies);
  }
  StepDescription operator()(const DropPolicies& step) const {
    return policies_step("drop-policies", "no longer send", step.policies);
  }
  StepDescription operator()(const SendProbes& step) const {
    std::string to;
    for (const auto& probe : step.probes) {
      to += (to.empty() ? "" : ", ") + node(probe.node_id);
      if (probe.generation != 0) to += " under key " + std::to_string(probe.generation);
    }
    return {"send-probes", "probe " + to, {{"probes", std::to_string(step.probes.size())}}};
  }
  StepDescription operator()(const ForgetHeard& step) const {
    const auto generation = std::to_string(step.generation);
    return {"forget-heard",
            "forget what " + node(step.node_id) + " said under key " + generation,
            {{"node_id", std::to_string(step.node_id)}, {"key_id", generation}}};
  }
  StepDescription operator()(const CreateOverlay& step) const {
    const auto port = std::to_string(step.port);
    return {"create-overlay", "create " + step.name + ", UDP port " + port, {{"device", step.name}, {"port", port}}};
  }
  StepDescription operator()(const AddOverlayAddress& step) const {
    return {"add-overlay-address",
            "give " + std::string(kOverlayDevice) + " the address " + step.address.text(),
            {{"address", step.address.text()}}};
  }
  StepDescription operator()(const SetDetourRoute& step) const {
    return {"set-detour-route",
            "give outer packets to " + step.to.text() + " a way of their own" +
                (step.way.gateway ? ", via " + step.way.gateway->text() : ""),
            {{"to", step.to.text()}}};
  }
  StepDescription operator()(const DropDetourRoute& step) const {
    return {
        "drop-detour-route", "take outer packets to " + step.to.text() + " their own way", {{"to", step.to.text()}}};
  }
  StepDescription operator()(const AddDetourRule& step) const {
    return {"add-detour-rule",
            "lead IPv" + family(step.family) + " outer packets to these routes: mark 0xe00, table " +
                std::to_string(kDetourTable),
            {{"family", family(step.family)}}};
  }
  StepDescription operator()(const SetBackstop& step) const {
    std::string devices;
    for (const auto& [ifindex, name] : step.backstop.watched) devices += (devices.empty() ? "" : ", ") + name;
    for (const auto& name : step.backstop.own) devices += (devices.empty() ? "" : ", ") + name;
    devices += devices.empty() ? "lo" : ", lo";
    const auto peers = step.backstop.nodes.peers.size();
    const auto cluster = joined(step.backstop.cluster), local = joined(step.backstop.local);
    return {"set-backstop",
            std::string(step.backstop.drops ? "drop" : "count") + " on devices other than " + devices +
                (cluster.empty() ? "" : ": what pods of " + cluster + " send to each other") +
                (peers == 0 ? "" : ": node traffic with " + std::to_string(peers) + " addresses of peers"),
            {{"action", step.backstop.drops ? "drop" : "count"},
             {"devices", devices},
             {"cluster", cluster},
             {"local", local},
             {"peer_addresses", std::to_string(peers)}}};
  }
  StepDescription operator()(const RemoveBackstop&) const {
    return {"remove-backstop", "remove nft table inet sheath", {}};
  }
  StepDescription operator()(const DropDetourRule& step) const {
    return {"drop-detour-rule",
            "remove the IPv" + family(step.family) + " routing rule for outer packets",
            {{"family", family(step.family)}}};
  }
  StepDescription operator()(const SetOverlayRoute& step) const {
    return {"set-overlay-route",
            "route " + step.destination.text() + " to " + kOverlayDevice,
            {{"destination", step.destination.text()}}};
  }
  StepDescription operator()(const DropOverlayRoute& step) const {
    return {"drop-overlay-route",
            "no longer route " + step.destination.text() + " to " + kOverlayDevice,
            {{"destination", step.destination.text()}}};
  }
  StepDescription operator()(const Pause& step) const {
    const auto duration = std::to_string(step.duration.count());
    return {"pause", "wait " + duration + " ms for packets on their way", {{"milliseconds", duration}}};
  }
  StepDescription operator()(const FlushIpsec&) const {
    return {"flush-ipsec", "remove all of our ESP states and policies", {}};
  }
  StepDescription operator()(const RemoveSessions&) const {
    return {"remove-sessions", "wipe all of this node's sessions", {}};
  }

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

  static std::string spi_text(std::uint32_t spi) {
    char text[11];
    std::snprintf(text, sizeof text, "0x%08x", spi);
    return text;
  }

  std::string state_text(const EspState& state) const {
    const bool transmit = state.use == StateUse::kTransmit;
    return (transmit ? "transmit state to " : "receive state from ") + node(state.node_id) + ", key " +
           std::to_string(state.generation) + ", SPI " + spi_text(state.spi);
  }

  Fields state_fields(const EspState& state) const {
    const bool transmit = state.use == StateUse::kTransmit;
    return {{"direction", transmit ? "transmit" : "receive"},
            {"node_id", std::to_string(state.node_id)},
            {"key_id", std::to_string(state.generation)},
            {"spi", spi_text(state.spi)},
            {"own", state.ends.own.text()},
            {"peer", state.ends.peer.text()}};
  }

  StepDescription policies_step(const std::string& action, const std::string& verb,
                                const std::set<EspPolicy>& policies) const {
    if (policies.empty()) return {action, verb + " nothing", {}};
    std::string text;
    Fields fields;
    for (const auto& policy : policies) {
      text += (text.empty() ? "" : ", ") + policy.source.text() + " → " + policy.destination.text();
    }
    const auto& first = *policies.begin();
    const auto key = std::to_string(first.generation);
    return {action,
            verb + " " + text + " to " + node(first.node_id) + " under key " + key,
            {{"node_id", std::to_string(first.node_id)}, {"key_id", key}, {"prefixes", text}}};
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
