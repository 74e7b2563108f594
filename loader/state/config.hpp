// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "loader/base/address.hpp"

namespace sheath::state {

enum class Encryption { kWireguard, kIpsec, kNone };
enum class Mode { kStrict, kPermissive };
enum class Routing { kNative, kVxlan };
// How decrypted packets reach the host stack: from the tunnel device, or re-injected at the uplink where rp_filter
// would drop them otherwise. `auto` looks at net.ipv4.conf.all.rp_filter.
enum class Delivery { kAuto, kStack, kUplink };

// What /etc/sheath/config.yaml and the flags say, with defaults filled in.
struct Config {
  std::string node_name;  // default: the host name
  Encryption encryption = Encryption::kWireguard;
  bool node_encryption = false;
  bool backstop = true;
  Mode mode = Mode::kStrict;
  std::vector<std::string> devices;  // uplinks; empty: the default route's
  bool fast_path = false;
  bool fast_path_force = false;          // even where netfilter rules would be bypassed
  std::vector<std::string> pod_devices;  // globs; empty: veths that a /32 or /128 route points at
  std::vector<Cidr> cluster_pod_cidrs;
  std::vector<IpAddress> node_ips;    // this node's own; empty: its node object's, else the uplink's
  std::vector<Cidr> pod_cidrs;        // this node's own; empty: its node object's
  std::vector<IpAddress> router_ips;  // this node's own, for routing vxlan; empty: its node object's
  std::vector<std::string> node_encryption_opt_out_labels{"node-role.kubernetes.io/control-plane"};
  Routing routing = Routing::kNative;
  Delivery delivery = Delivery::kAuto;

  struct Nodes {
    std::string source = "file";
    std::filesystem::path path = "/etc/sheath/nodes";
  } nodes;

  struct Wireguard {
    std::uint16_t listen_port = 51871;
    std::filesystem::path private_key_file = "/var/lib/sheath/wireguard.key";
    std::uint16_t persistent_keepalive = 0;  // seconds; 0: off
  } wireguard;

  struct Ipsec {
    std::filesystem::path key_file = "/etc/ipsec/keys";
    std::chrono::seconds key_rotation_duration{300};
    std::chrono::seconds rotate_every{8 * 3600};  // 0: only when the key file changes
    std::uint32_t replay_window = 1024;           // packets
  } ipsec;

  struct Agent {
    std::chrono::seconds resync{60};  // how often it looks without a reason
  } agent;

  struct Metrics {
    std::string listen = "127.0.0.1:9964";  // empty: nowhere
    std::filesystem::path textfile;         // empty: none is written
  } metrics;

  struct Paths {
    std::filesystem::path bpffs = "/sys/fs/bpf/sheath";
    std::filesystem::path run = "/run/sheath";
    std::filesystem::path state = "/var/lib/sheath";
  } paths;
};

}  // namespace sheath::state
