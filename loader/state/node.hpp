// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/keys/wireguard_key.hpp"

namespace sheath::state {

// What a node publishes of its session for one key ID.
struct IpsecSession {
  std::uint8_t generation = 0;  // the key ID, 1 to 15
  keys::PublicKey public_key;
  std::uint32_t tag = 0;    // of its SPIs, 28 bits
  std::uint8_t psk_id = 0;  // of the key file's key that it was drawn with

  bool operator==(const IpsecSession&) const = default;
};

// A machine of the cluster, as its objects describe it.
struct Node {
  std::string name;
  std::vector<IpAddress> node_ips;  // in the order of its object; the first of a family is where peers send
  std::vector<Cidr> pod_cidrs;
  std::vector<IpAddress> router_ips;  // its ends of ESP inside VXLAN; the first of a family counts
  std::optional<keys::PublicKey> wireguard_key;
  std::optional<std::uint8_t> ipsec_key_id;  // of the key in its key file
  std::optional<bool> node_encryption;       // what it says: whether it sends its node traffic encrypted
  std::vector<IpsecSession> ipsec_sessions;  // one for each key ID, in their order
  std::map<std::string, std::string> labels;

  bool operator==(const Node&) const = default;
};

// All nodes, this one included, by name. Checked: no two share a node IP, a key or a part of a pod CIDR.
using Cluster = std::map<std::string, Node>;

}  // namespace sheath::state
