// SPDX-License-Identifier: Apache-2.0
#include "selftests/prog/datapath/cluster.hpp"

#include <algorithm>

#include "maps/keys.hpp"
#include "maps/own_pods.hpp"

namespace sheath::test {

const char* name_of(Mode mode) {
  return mode == Mode::kStrict ? "strict" : "permissive";
}

const TestDevices& devices() {
  static const TestDevices made;
  return made;
}

sheath_config config_for(Mode mode) {
  sheath_config config{};
  config.tunnel_ifindex = devices().tunnel.ifindex;
  config.uplink_ifindex = devices().uplink.ifindex;
  config.pod_uplink_ifindex = devices().pod.ifindex;
  config.wireguard_port = kWireguardPort;
  config.l2_len = 14;
  config.strict = mode == Mode::kStrict;
  config.trace = 1;
  // Half of the tests know what they could look up.
  if (mode == Mode::kPermissive) return config;
  config.tunnel_mtu = kTunnelMtu;
  maps::put_own_pods({Cidr::parse("10.244.1.0/24").value(), Cidr::parse("fd00:10:244:1::/64").value()}, config);
  return config;
}

sheath_config ipsec_config_for(Mode mode) {
  sheath_config config = config_for(mode);
  config.marked = 1;
  config.vxlan_port = kVxlanPort;
  return config;
}

Cluster::Cluster(const sheath_config& config) : Datapath(config) {
  for (const auto& [ipv4, ipv6, kind, node] :
       {std::tuple{"10.244.0.0/16", "fd00:10:244::/48", SHEATH_KIND_cluster, 0},
        std::tuple{"10.244.1.0/24", "fd00:10:244:1::/64", SHEATH_KIND_local, 0},
        std::tuple{"10.244.2.0/24", "fd00:10:244:2::/64", SHEATH_KIND_remote, 2},
        std::tuple{"10.244.3.0/24", "fd00:10:244:3::/64", SHEATH_KIND_remote, 3},
        std::tuple{"10.244.4.0/24", "fd00:10:244:4::/64", SHEATH_KIND_remote, 4}}) {
    add_pods(ipv4, kind, static_cast<std::uint16_t>(node));
    add_pods(ipv6, kind, static_cast<std::uint16_t>(node));
  }
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    add_node(kLocalNode.address(family), SHEATH_KIND_local);
    add_node(kRemoteNode.address(family), SHEATH_KIND_remote, kReadyNode);
    add_node(kLocalRouter.address(family), SHEATH_KIND_local);
    add_node(kRemoteRouter.address(family), SHEATH_KIND_remote, kReadyNode);
  }
  add_node("172.18.0.5", SHEATH_KIND_remote, kKeylessNode);
  add_node("fd00:18::5", SHEATH_KIND_remote, kKeylessNode);
  ready_mark_ = config.marked != 0 ? kKeyedMark : kReadyMark;
  set_node_traffic(SHEATH_NODE_TRAFFIC_plain);

  sheath_endpoint pod{};
  pod.ifindex = devices().pod.ifindex;
  std::ranges::copy(kPodMac, pod.pod_mac);
  std::ranges::copy(kHostMac, pod.host_mac);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) add_endpoint(kLocalPod.address(family), pod);
}

void Cluster::set_node_traffic(sheath_node_traffic level) {
  set_peer(kReadyNode, {ready_mark_, SHEATH_PEER_ready, underlay_address(kRemoteNode.ipv4), level});
  set_peer(kKeylessNode, {0x30e00, SHEATH_PEER_not_ready, underlay_address("fd00:18::5"), level});
}

sheath_addr underlay_address(const std::string& text) {
  return maps::to_key(IpAddress::parse(text).value());
}

Cluster& shared_ipsec_cluster(Mode mode) {
  static Cluster strict(ipsec_config_for(Mode::kStrict));
  static Cluster permissive(ipsec_config_for(Mode::kPermissive));
  return mode == Mode::kStrict ? strict : permissive;
}

Cluster& shared_cluster(Mode mode) {
  static Cluster strict(Mode::kStrict);
  static Cluster permissive(Mode::kPermissive);
  return mode == Mode::kStrict ? strict : permissive;
}

Cluster& shared_node_cluster(Mode mode, sheath_node_traffic level) {
  static Cluster strict(Mode::kStrict);
  static Cluster permissive(Mode::kPermissive);
  Cluster& cluster = mode == Mode::kStrict ? strict : permissive;
  cluster.set_node_traffic(level);
  return cluster;
}

PacketSpec between(const Party& source, const Party& dest, Family family) {
  PacketSpec spec;
  spec.source = source.address(family);
  spec.dest = dest.address(family);
  return spec;
}

}  // namespace sheath::test
