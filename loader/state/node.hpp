// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/keys/wireguard_key.hpp"

namespace sheath::state {

// A machine of the cluster, as its objects describe it.
struct Node {
  std::string name;
  std::vector<IpAddress> node_ips;  // in the order of its object; the first of a family is where peers send
  std::vector<Cidr> pod_cidrs;
  std::optional<keys::PublicKey> wireguard_key;
  std::map<std::string, std::string> labels;

  bool operator==(const Node&) const = default;
};

// All nodes, this one included, by name. Checked: no two share a node IP, a key or a part of a pod CIDR.
using Cluster = std::map<std::string, Node>;

}  // namespace sheath::state
