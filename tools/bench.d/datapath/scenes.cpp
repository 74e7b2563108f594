// SPDX-License-Identifier: Apache-2.0
#include "tools/bench.d/datapath/scenes.hpp"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "maps/marks.h"
#include "maps/names.hpp"
#include "maps/own_pods.hpp"
#include "selftests/harness/devices.hpp"

namespace sheath::bench {
namespace {

constexpr std::uint16_t kWireguardPort = 51871;
constexpr std::uint16_t kVxlanPort = 8472;
constexpr std::uint32_t kMiddle = 5;  // the one peer of cases that are not spread: every cluster has it
constexpr std::uint8_t kKeyId = 3;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kEsp = 50;

#define LOCAL_POD {"10.255.0.9", "fd00:10:ff00::9"}
#define OTHER_LOCAL_POD {"10.255.0.10", "fd00:10:ff00::a"}
#define REMOTE_POD {"10.0.5.9", "fd00:10:5::9"}
#define LOCAL_NODE {"172.18.0.3", "fd00:18:ffff::3"}
#define REMOTE_NODE {"172.20.0.5", "fd00:18::5"}
#define WORLD {"198.0.5.1", "2001:db8:5::1"}

const Path kPaths[] = {
    {.name = "uplink egress: pod to remote pod",
     .direction = SHEATH_DIRECTION_uplink_egress,
     .source = LOCAL_POD,
     .dest = REMOTE_POD,
     .expected = SHEATH_REASON_encrypted},
    {.name = "uplink egress: pod to world",
     .direction = SHEATH_DIRECTION_uplink_egress,
     .source = LOCAL_POD,
     .dest = WORLD,
     .expected = SHEATH_REASON_world},
    {.name = "uplink egress: pod to local pod",
     .direction = SHEATH_DIRECTION_uplink_egress,
     .source = LOCAL_POD,
     .dest = OTHER_LOCAL_POD,
     .varies = Varies::kNothing,
     .expected = SHEATH_REASON_local},
    {.name = "uplink egress: our own WireGuard",
     .direction = SHEATH_DIRECTION_uplink_egress,
     .source = LOCAL_NODE,
     .dest = REMOTE_NODE,
     .expected = SHEATH_REASON_own_outer,
     .protocol = kUdp,
     .port = kWireguardPort,
     .mark = SHEATH_MARK_ENCRYPT},
    {.name = "uplink egress: our own ESP",
     .direction = SHEATH_DIRECTION_uplink_egress,
     .engine = Engine::kIpsec,
     .source = LOCAL_NODE,
     .dest = REMOTE_NODE,
     .expected = SHEATH_REASON_own_outer,
     .protocol = kEsp,
     .mark = SHEATH_MARK_ENCRYPT},
    {.name = "uplink egress: host to remote node, in plaintext",
     .direction = SHEATH_DIRECTION_uplink_egress,
     .source = LOCAL_NODE,
     .dest = REMOTE_NODE,
     .expected = SHEATH_REASON_node_plain},
    {.name = "uplink egress: host to remote node, encrypted",
     .direction = SHEATH_DIRECTION_uplink_egress,
     .node_encryption = true,
     .source = LOCAL_NODE,
     .dest = REMOTE_NODE,
     .expected = SHEATH_REASON_encrypted},
    {.name = "uplink egress: host to world",
     .direction = SHEATH_DIRECTION_uplink_egress,
     .source = LOCAL_NODE,
     .dest = WORLD,
     .expected = SHEATH_REASON_world},
    {.name = "pod egress: pod to remote pod",
     .direction = SHEATH_DIRECTION_pod_egress,
     .fast_path = true,
     .source = LOCAL_POD,
     .dest = REMOTE_POD,
     .expected = SHEATH_REASON_encrypted},
    {.name = "pod egress: pod to world",
     .direction = SHEATH_DIRECTION_pod_egress,
     .fast_path = true,
     .source = LOCAL_POD,
     .dest = WORLD,
     .expected = SHEATH_REASON_to_stack},
    {.name = "pod egress: pod to local pod",
     .direction = SHEATH_DIRECTION_pod_egress,
     .fast_path = true,
     .source = LOCAL_POD,
     .dest = OTHER_LOCAL_POD,
     .varies = Varies::kNothing,
     .expected = SHEATH_REASON_to_stack},
    {.name = "uplink ingress: ESP",
     .direction = SHEATH_DIRECTION_uplink_ingress,
     .engine = Engine::kIpsec,
     .source = REMOTE_NODE,
     .dest = LOCAL_NODE,
     .varies = Varies::kSource,
     .expected = SHEATH_REASON_own_outer,
     .protocol = kEsp},
    {.name = "uplink ingress: WireGuard",
     .direction = SHEATH_DIRECTION_uplink_ingress,
     .source = REMOTE_NODE,
     .dest = LOCAL_NODE,
     .varies = Varies::kSource,
     .expected = SHEATH_REASON_own_outer,
     .protocol = kUdp,
     .port = kWireguardPort},
    {.name = "uplink ingress: world to pod",
     .direction = SHEATH_DIRECTION_uplink_ingress,
     .source = WORLD,
     .dest = LOCAL_POD,
     .varies = Varies::kSource,
     .expected = SHEATH_REASON_foreign},
    {.name = "uplink ingress: world to host",
     .direction = SHEATH_DIRECTION_uplink_ingress,
     .source = WORLD,
     .dest = LOCAL_NODE,
     .varies = Varies::kSource,
     .expected = SHEATH_REASON_local},
    {.name = "uplink ingress: remote node to host, in plaintext",
     .direction = SHEATH_DIRECTION_uplink_ingress,
     .source = REMOTE_NODE,
     .dest = LOCAL_NODE,
     .varies = Varies::kSource,
     .expected = SHEATH_REASON_node_plain},
    {.name = "tunnel ingress: WireGuard to pod",
     .direction = SHEATH_DIRECTION_tunnel_ingress,
     .source = REMOTE_POD,
     .dest = LOCAL_POD,
     .varies = Varies::kSource,
     .expected = SHEATH_REASON_decrypted},
    {.name = "tunnel ingress: ESP to pod",
     .direction = SHEATH_DIRECTION_tunnel_ingress,
     .engine = Engine::kIpsec,
     .source = REMOTE_POD,
     .dest = LOCAL_POD,
     .varies = Varies::kNothing, /* the mark names one peer */
     .expected = SHEATH_REASON_decrypted,
     .mark = (kMiddle << SHEATH_MARK_NODE_SHIFT) | (kKeyId << SHEATH_MARK_KEY_SHIFT) | SHEATH_MARK_DECRYPT},
    {.name = "tunnel ingress: WireGuard to pod, fast path",
     .direction = SHEATH_DIRECTION_tunnel_ingress,
     .fast_path = true,
     .source = REMOTE_POD,
     .dest = LOCAL_POD,
     .varies = Varies::kSource,
     .expected = SHEATH_REASON_delivered},
    {.name = "overlay egress: ESP to remote router",
     .direction = SHEATH_DIRECTION_overlay_egress,
     .engine = Engine::kIpsec,
     .source = LOCAL_NODE,
     .dest = REMOTE_NODE,
     .expected = SHEATH_REASON_own_outer,
     .protocol = kEsp,
     .mark = SHEATH_MARK_ENCRYPT},
};

constexpr std::uint16_t kTunnelMtu = 1420;

struct Devices {
  test::VethPair tunnel{"tunnel", kTunnelMtu};
  test::VethPair pod{"pod", 1500};
};

const Devices& devices() {
  static const Devices made;
  return made;
}

std::size_t index_of(Family family) {
  return family == Family::kIpv4 ? 0 : 1;
}

std::string format(const char* pattern, std::uint32_t first, std::uint32_t second = 0) {
  char text[64];
  std::snprintf(text, sizeof(text), pattern, first, second);
  return text;
}

std::string pods_of(Family family, std::uint32_t number) {
  return family == Family::kIpv4 ? format("10.%u.%u.0/24", number >> 8, number & 0xff)
                                 : format("fd00:10:%x::/64", number);
}

std::string address_of(Family family, std::uint32_t number) {
  return family == Family::kIpv4 ? format("172.20.%u.%u", number >> 8, number & 0xff) : format("fd00:18::%x", number);
}

// Frames of cilium_wg0 begin with their IP header.
bool has_ethernet(const Path& path) {
  return path.direction != SHEATH_DIRECTION_tunnel_ingress || path.engine != Engine::kWireguard;
}

sheath_config config_for(const Path& path) {
  sheath_config config{};
  config.tunnel_ifindex = devices().tunnel.ifindex;
  config.strict = 1;
  config.tunnel_mtu = kTunnelMtu;
  const bool of_pod = path.direction == SHEATH_DIRECTION_pod_egress;
  maps::put_own_pods({Cidr::parse(of_pod ? "10.255.0.9/32" : "10.255.0.0/24").value(),
                      Cidr::parse(of_pod ? "fd00:10:ff00::9/128" : "fd00:10:ff00::/64").value()},
                     config);
  config.l2_len = has_ethernet(path) ? 14 : 0;
  config.fast_path = path.fast_path;
  config.node_encryption = path.node_encryption ? SHEATH_NODE_ENCRYPTION_enabled : SHEATH_NODE_ENCRYPTION_disabled;
  if (path.engine == Engine::kWireguard) {
    config.wireguard_port = kWireguardPort;
  } else {
    config.marked = 1;
    config.vxlan_port = kVxlanPort;
  }
  config.overlay = path.direction == SHEATH_DIRECTION_overlay_egress;
  return config;
}

test::PacketSpec packet_for(const Path& path, Family family) {
  test::PacketSpec spec;
  spec.source = path.source[index_of(family)];
  spec.dest = path.dest[index_of(family)];
  spec.protocol = path.protocol;
  spec.source_port = spec.dest_port = path.port;
  spec.payload = 64;
  spec.ethernet = has_ethernet(path);
  return spec;
}

// Of the two bytes that tell peers, or the world's networks, apart: a node's are its address's last.
std::uint32_t varying_offset(const Path& path, Family family) {
  const bool is_source = path.varies == Varies::kSource;
  const std::string text = is_source ? path.source[index_of(family)] : path.dest[index_of(family)];
  const bool is_node = text == address_of(family, kMiddle);
  const std::uint32_t header = has_ethernet(path) ? 14 : 0;
  if (family == Family::kIpv4) return header + (is_source ? 12 : 16) + (is_node ? 2 : 1);
  return header + (is_source ? 8 : 24) + (is_node ? 14 : 4);
}

}  // namespace

std::span<const Path> paths() {
  return kPaths;
}

Cluster::Cluster(Family family, std::uint32_t prefixes, bool node_encryption)
    : family_(family), prefixes_(prefixes), datapath_(std::make_unique<test::Datapath>(sheath_config{})) {
  const bool ipv4 = family == Family::kIpv4;
  datapath_->add_pods(ipv4 ? "10.0.0.0/8" : "fd00:10::/32", SHEATH_KIND_cluster);
  datapath_->add_pods(ipv4 ? "10.255.0.0/24" : "fd00:10:ff00::/64", SHEATH_KIND_local);
  datapath_->add_node(ipv4 ? "172.18.0.3" : "fd00:18:ffff::3", SHEATH_KIND_local);
  sheath_endpoint pod{};
  pod.ifindex = devices().pod.ifindex;
  datapath_->add_endpoint(ipv4 ? "10.255.0.9" : "fd00:10:ff00::9", pod);

  sheath_peer peer{};
  peer.state = SHEATH_PEER_ready;
  peer.node_traffic = node_encryption ? SHEATH_NODE_TRAFFIC_required : SHEATH_NODE_TRAFFIC_plain;
  for (std::uint32_t number = 1; number <= prefixes; ++number) {
    const auto id = static_cast<std::uint16_t>(number);
    datapath_->add_pods(pods_of(family, number), SHEATH_KIND_remote, id);
    datapath_->add_node(address_of(family, number), SHEATH_KIND_remote, id);
    peer.tx_mark = sheath_tx_mark(id, kKeyId);
    peer.underlay.addr[15] = 1;
    datapath_->set_peer(number, peer);
  }
}

Case Cluster::base_case(const Path& path) const {
  Case result;
  result.path = path.name;
  result.family = family_ == Family::kIpv4 ? "ipv4" : "ipv6";
  result.prefixes = prefixes_;
  result.packet = test::build(packet_for(path, family_));
  result.plan = {.mark = path.mark, .offset = 0, .first = kMiddle, .count = 1, .turn = 0};
  if (path.direction == SHEATH_DIRECTION_pod_egress) result.ifindex = devices().pod.ifindex;
  if (path.varies != Varies::kNothing) {
    result.plan.offset = varying_offset(path, family_);
  } else {
    result.plan.first = test::read16(result.packet, 0);  // written over with itself
  }
  return result;
}

void Cluster::check(const Path& path, const Case& what) {
  const auto packets = [&] {
    const sheath_counters counters = datapath_->counters(path.direction);
    return reinterpret_cast<const sheath_counter*>(&counters)[path.expected].packets;
  };
  const std::uint64_t before = packets();
  __sk_buff skb{};
  skb.mark = what.plan.mark;
  skb.ifindex = what.ifindex;
  LIBBPF_OPTS(bpf_test_run_opts, opts);
  opts.data_in = what.packet.data();
  opts.data_size_in = static_cast<__u32>(what.packet.size());
  opts.ctx_in = &skb;
  opts.ctx_size_in = sizeof(skb);
  opts.repeat = 1;
  if (bpf_prog_test_run_opts(what.program, &opts) != 0) {
    throw std::runtime_error(std::string(path.name) + ": test run: " + std::strerror(errno));
  }
  if (packets() != before + 1) throw std::runtime_error(std::string(path.name) + ": not what the program decides");
}

void Cluster::add_cases(const Path& path, std::vector<Case>& cases) {
  Case one = base_case(path);
  one.program = datapath_->program(path.direction, config_for(path));
  check(path, one);
  cases.push_back(one);
  if (path.varies == Varies::kNothing) return;
  one.spread = true;
  one.plan.first = 1;
  one.plan.count = prefixes_;
  cases.push_back(std::move(one));
}

ProgramSize size_of(const std::string& name, int program) {
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(program, &info, &size) != 0) throw std::runtime_error(name + ": " + std::strerror(errno));
  return {.name = name,
          .xlated = info.xlated_prog_len / static_cast<__u32>(sizeof(bpf_insn)),
          .jited = info.jited_prog_len,
          .verified = info.verified_insns};
}

}  // namespace sheath::bench
