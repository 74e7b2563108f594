// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/executor.hpp"

#include <filesystem>

#include "loader/base/file.hpp"
#include "loader/base/sysctl.hpp"
#include "loader/engine/observe.hpp"
#include "loader/engine/translate.hpp"
#include "loader/keys/key_file.hpp"

namespace sheath::engine {
namespace {

// Object files of nodes hold nothing secret, and other tools read them.
constexpr mode_t kPublicationMode = 0644;

template <typename Planned, typename Convert>
auto converted(const Planned& rows, Convert convert) {
  std::map<typename Planned::key_type, decltype(convert(rows.begin()->second))> out;
  for (const auto& [key, value] : rows) out.emplace_hint(out.end(), key, convert(value));
  return out;
}

Result<std::uint32_t> ifindex_of(netlink::Socket& socket, const std::string& name) {
  auto link = netlink::find_link(socket, name);
  if (!link) return fail(std::move(link.error()));
  if (!*link) return fail(Error::system("find " + name, ENODEV));
  return (*link)->ifindex;
}

}  // namespace

Result<bpf::PinnedMaps*> Executor::maps() {
  if (!maps_) {
    auto opened = bpf::PinnedMaps::create(config_.paths.bpffs);
    if (!opened) return fail(std::move(opened.error()));
    maps_ = std::move(*opened);
  }
  return &*maps_;
}

Result<std::uint32_t> Executor::device(const std::string& name) {
  if (const auto known = devices_.find(name); known != devices_.end()) return known->second;
  const auto ifindex = ifindex_of(socket_, name);
  if (ifindex) devices_[name] = *ifindex;
  return ifindex;
}

Result<> Executor::patch_tunnel(const netlink::WireGuardPatch& patch) {
  const auto ifindex = device(plan::kWireguardDevice);
  if (!ifindex) return fail(ifindex.error());
  if (!wireguard_) {
    auto opened = netlink::WireGuard::open();
    if (!opened) return fail(std::move(opened.error()));
    wireguard_ = std::move(*opened);
  }
  return wireguard_->set(*ifindex, patch);
}

Result<> Executor::attach(const plan::Attachment& where, const plan::ProgramSettings& settings) {
  DeviceIndexes devices;
  if (settings.tunnel == plan::TunnelReference::kTunnel) {
    const auto ifindex = device(settings.engine == plan::Engine::kIpsec ? plan::kXfrmDevice : plan::kWireguardDevice);
    if (!ifindex) return fail(ifindex.error());
    devices.tunnel = *ifindex;
  }
  for (const auto& [name, index] :
       {std::pair{settings.uplink, &devices.uplink}, {settings.pod_uplink, &devices.pod_uplink}}) {
    if (name.empty()) continue;
    const auto ifindex = ifindex_of(socket_, name);
    if (!ifindex) return fail(ifindex.error());
    *index = *ifindex;
  }
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  return bpf::attach(config_.paths.bpffs, to_place(where), to_config(settings, devices), **opened);
}

Result<> Executor::set_together(std::span<const plan::SetTunnelPeer> steps) {
  netlink::WireGuardPatch patch;
  for (const auto& step : steps) patch.peers.push_back(to_patch(step));
  return patch_tunnel(patch);
}

Result<> Executor::set_together(std::span<const plan::SetPeer> steps) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  bpf::Peers peers;
  for (const auto& step : steps) peers[step.node_id] = to_peer(step.entry);
  return (*opened)->set_peers(peers);
}

Result<> Executor::operator()(const plan::Fence& step) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  auto& maps = **opened;
  if (auto done = maps.set_node_ips(converted(step.maps.node_ips, to_owner)); !done) return done;
  if (auto done = maps.set_pod_cidrs(converted(step.maps.pod_cidrs, to_owner)); !done) return done;
  if (auto done = maps.set_peers(converted(step.maps.peers, to_peer)); !done) return done;
  for (const auto& [where, settings] : step.programs) {
    if (auto done = attach(where, settings); !done) return done;
  }
  return {};
}

Result<> Executor::operator()(const plan::CreateMaps&) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  return {};
}

Result<> Executor::operator()(const plan::CreateTunnel& step) {
  netlink::NewLink link;
  link.name = step.name;
  link.kind = "wireguard";
  link.alias = kOwnAlias;
  const auto made = netlink::create_link(socket_, link);
  if (!made) return fail(made.error());
  devices_[step.name] = *made;
  return {};
}

Result<> Executor::operator()(const plan::ConfigureTunnel& step) {
  const auto key = keys::load_private_key(config_.wireguard.private_key_file);
  if (!key) return fail(key.error());
  if (key->public_key() != step.public_key) {
    return fail(config_.wireguard.private_key_file.string() + " was changed meanwhile");
  }
  netlink::WireGuardPatch patch;
  patch.private_key = std::span<const std::uint8_t, keys::kKeyBytes>(key->bytes());
  patch.listen_port = step.listen_port;
  patch.fwmark = step.fwmark;
  return patch_tunnel(patch);
}

Result<> Executor::operator()(const plan::SetTunnelMtu& step) {
  const auto ifindex = device(step.name);
  if (!ifindex) return fail(ifindex.error());
  return netlink::set_link_mtu(socket_, *ifindex, step.mtu);
}

Result<> Executor::operator()(const plan::SetRpFilterOff& step) {
  return write_sysctl("net/ipv4/conf/" + step.name + "/rp_filter", "0");
}

Result<> Executor::operator()(const plan::SetTunnelUp& step) {
  const auto ifindex = device(step.name);
  if (!ifindex) return fail(ifindex.error());
  return netlink::set_link_up(socket_, *ifindex, true);
}

Result<> Executor::operator()(const plan::Publish& step) {
  const std::filesystem::path path(step.publication.path);
  if (auto made = make_directories(path.parent_path()); !made) return made;
  return write_file_atomically(path, step.publication.content, kPublicationMode);
}

Result<> Executor::operator()(const plan::Withdraw& step) {
  std::error_code error;
  std::filesystem::remove(step.path, error);
  if (error) return fail(Error::system("remove " + step.path, error.value()));
  return {};
}

Result<> Executor::operator()(const plan::SetTunnelPeer& step) {
  netlink::WireGuardPatch patch;
  patch.peers.push_back(to_patch(step));
  return patch_tunnel(patch);
}

// WireGuard has no way to take an allowed IP away and leave its neighbours: it can only give it to somebody else. So a
// peer is made that nobody is, gets them, and goes.
Result<> Executor::operator()(const plan::DropAllowedIps& step) {
  const auto nobody = keys::PrivateKey::generate();
  if (!nobody) return fail(nobody.error());
  netlink::WireGuardPatch patch;
  patch.peers.resize(1);
  patch.peers[0].public_key = nobody->public_key().bytes;
  patch.peers[0].allowed_ips.assign(step.allowed_ips.begin(), step.allowed_ips.end());
  if (auto given = patch_tunnel(patch); !given) return given;
  patch.peers[0].remove = true;
  return patch_tunnel(patch);
}

Result<> Executor::operator()(const plan::RemoveTunnelPeer& step) {
  netlink::WireGuardPatch patch;
  patch.peers.resize(1);
  patch.peers[0].public_key = step.key.bytes;
  patch.peers[0].remove = true;
  return patch_tunnel(patch);
}

Result<> Executor::operator()(const plan::SetNodeIp& step) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  return (*opened)->set_node_ips({{step.address, to_owner(step.owner)}});
}

Result<> Executor::operator()(const plan::SetPodCidr& step) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  return (*opened)->set_pod_cidrs({{step.cidr, to_owner(step.owner)}});
}

Result<> Executor::operator()(const plan::SetPeer& step) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  return (*opened)->set_peers({{step.node_id, to_peer(step.entry)}});
}

Result<> Executor::operator()(const plan::SetEndpoint& step) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  return (*opened)->set_endpoints({{step.address, to_endpoint(step.entry)}});
}

Result<> Executor::operator()(const plan::DeleteNodeIp& step) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  return (*opened)->delete_node_ip(step.address);
}

Result<> Executor::operator()(const plan::DeletePodCidr& step) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  return (*opened)->delete_pod_cidr(step.cidr);
}

Result<> Executor::operator()(const plan::DeletePeer& step) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  if (auto deleted = (*opened)->delete_peer(step.node_id); !deleted) return deleted;
  return (*opened)->delete_withheld(step.node_id);  // another node may get the ID
}

Result<> Executor::operator()(const plan::DeleteEndpoint& step) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  return (*opened)->delete_endpoint(step.address);
}

Result<> Executor::operator()(const plan::Attach& step) {
  return attach(step.where, step.settings);
}

Result<> Executor::operator()(const plan::Detach& step) {
  return bpf::detach(config_.paths.bpffs, to_place(step.where));
}

Result<> Executor::operator()(const plan::RemoveTunnel& step) {
  const auto ifindex = ifindex_of(socket_, step.name);
  if (!ifindex && ifindex.error().error_number() == ENODEV) return {};
  if (!ifindex) return fail(ifindex.error());
  devices_.erase(step.name);
  return netlink::delete_link(socket_, *ifindex);
}

Result<> Executor::operator()(const plan::SetDetourRoute& step) {
  return netlink::replace_route(socket_, detour_route(step.to, step.way));
}

Result<> Executor::operator()(const plan::DropDetourRoute& step) {
  auto done = netlink::delete_route(socket_, detour_route(step.to, step.way));
  if (!done && done.error().error_number() == ESRCH) return {};
  return done;
}

Result<> Executor::operator()(const plan::AddDetourRule& step) {
  auto done = netlink::add_rule(socket_, detour_rule(step.family));
  if (!done && done.error().error_number() == EEXIST) return {};
  return done;
}

Result<> Executor::operator()(const plan::DropDetourRule& step) {
  auto done = netlink::delete_rule(socket_, detour_rule(step.family));
  if (!done && done.error().error_number() == ENOENT) return {};
  return done;
}

Result<> Executor::operator()(const plan::RemoveMaps&) {
  maps_.reset();
  return bpf::remove_everything(config_.paths.bpffs);
}

Result<> Executor::operator()(const plan::SetBackstop& step) {
  const auto& backstop = step.backstop;
  const auto& [own, peers, pods, outer_mark, wireguard_port, vxlan_port] = backstop.nodes;
  netlink::BackstopRules rules{backstop.drops,
                               {},
                               backstop.own,
                               backstop.cluster,
                               backstop.local,
                               {own, peers, pods, outer_mark, wireguard_port, vxlan_port},
                               backstop.own.contains(plan::kXfrmDevice)};
  for (const auto& [ifindex, name] : backstop.watched) rules.watched.insert(ifindex);
  return netlink::replace_backstop(rules, plan::digest(backstop));
}

Result<> Executor::operator()(const plan::RemoveBackstop&) {
  return netlink::remove_backstop();
}

}  // namespace sheath::engine
