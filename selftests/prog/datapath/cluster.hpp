// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "loader/base/address.hpp"
#include "selftests/harness/datapath.hpp"
#include "selftests/harness/devices.hpp"

// The cluster that every test of the programs sees, from node 1:
//
//   node    addresses                 pods                                  peer        underlay
//   1 (us)  172.18.0.3  fd00:18::3    10.244.1.0/24  fd00:10:244:1::/64     -
//   2       172.18.0.4  fd00:18::4    10.244.2.0/24  fd00:10:244:2::/64     ready       172.18.0.4
//   3       172.18.0.5  fd00:18::5    10.244.3.0/24  fd00:10:244:3::/64     not ready   fd00:18::5
//   4       -           -             10.244.4.0/24  fd00:10:244:4::/64     no entry    -
//   ?                                 10.244.0.0/16  fd00:10:244::/48       the cluster's range
//
// The first address of the pods of nodes 1 and 2 is the node's own: its router, where the overlay ends.
namespace sheath::test {

// One party in both families.
struct Party {
  const char* name;
  const char* ipv4;
  const char* ipv6;

  std::string address(Family family) const { return family == Family::kIpv4 ? ipv4 : ipv6; }
};

inline constexpr Party kLocalPod{"local pod", "10.244.1.7", "fd00:10:244:1::7"};
inline constexpr Party kOtherLocalPod{"other local pod", "10.244.1.8", "fd00:10:244:1::8"};
inline constexpr Party kRemotePod{"remote pod", "10.244.2.9", "fd00:10:244:2::9"};
inline constexpr Party kKeylessPod{"pod of a node that is not ready", "10.244.3.9", "fd00:10:244:3::9"};
inline constexpr Party kPeerlessPod{"pod of a node without a peer", "10.244.4.9", "fd00:10:244:4::9"};
inline constexpr Party kUnknownPod{"pod of no known node", "10.244.99.9", "fd00:10:244:99::9"};
inline constexpr Party kLocalNode{"this node", "172.18.0.3", "fd00:18::3"};
inline constexpr Party kRemoteNode{"remote node", "172.18.0.4", "fd00:18::4"};
inline constexpr Party kLocalRouter{"this node's router", "10.244.1.1", "fd00:10:244:1::1"};
inline constexpr Party kRemoteRouter{"remote node's router", "10.244.2.1", "fd00:10:244:2::1"};
inline constexpr Party kWorld{"world", "198.51.100.1", "2001:db8::1"};
inline constexpr Party kOtherWorld{"elsewhere in the world", "203.0.113.2", "2001:db8:f::2"};

inline constexpr std::uint16_t kReadyNode = 2, kKeylessNode = 3, kPeerlessNode = 4;
inline constexpr std::uint32_t kReadyMark = 0x20e00;  // node 2, no key ID, encrypt
inline constexpr std::uint32_t kKeyedMark = 0x23e00;  // the same with key ID 3
inline constexpr std::uint32_t kOuterMark = 0xe00;    // what the engine leaves on its outer packets
inline constexpr std::uint16_t kWireguardPort = 51871;
inline constexpr std::uint16_t kVxlanPort = 8472;
inline constexpr unsigned kTunnelMtu = 1420;

inline constexpr std::uint8_t kPodMac[6] = {2, 0, 0, 1, 0, 7};
inline constexpr std::uint8_t kHostMac[6] = {2, 0, 0, 1, 0, 1};

enum class Mode { kPermissive, kStrict };
const char* name_of(Mode mode);

// Devices are made once for all tests; veth pairs stand for the tunnel, the uplink and the pod's device.
struct TestDevices {
  VethPair tunnel{"tunnel", kTunnelMtu};
  VethPair uplink{"uplink", 1500};
  VethPair pod{"pod", 1500};
};
const TestDevices& devices();

// Strict, traced, Ethernet, with the tunnel there: what tests start from.
sheath_config config_for(Mode mode);

// The same with IPsec through an overlay.
sheath_config ipsec_config_for(Mode mode);

// As in sheath_peer::underlay.
sheath_addr underlay_address(const std::string& text);

// A datapath that knows the cluster; kLocalPod is an endpoint behind devices().pod.
class Cluster : public Datapath {
 public:
  explicit Cluster(const sheath_config& config);
  explicit Cluster(Mode mode) : Cluster(config_for(mode)) {}

  // Of the ready peer and of the one that is not.
  void set_node_traffic(sheath_node_traffic level);

 private:
  std::uint32_t ready_mark_ = 0;
};

// A datapath kept for all tests of one mode: loading is the slow part. Counters only ever grow.
Cluster& shared_cluster(Mode mode);
// With IPsec; the ready peer's mark is kKeyedMark.
Cluster& shared_ipsec_cluster(Mode mode);

// With node traffic at that level, WireGuard.
Cluster& shared_node_cluster(Mode mode, sheath_node_traffic level);

// An ordinary packet between two parties.
PacketSpec between(const Party& source, const Party& dest, Family family);

}  // namespace sheath::test
