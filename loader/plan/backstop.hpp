// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "loader/base/address.hpp"

namespace sheath::plan {

// Node traffic is dropped between `own` and these, and between pods and these.
struct BackstopNodes {
  std::set<IpAddress> own;           // this node's addresses
  std::set<IpAddress> peers;         // of the nodes that neither send nor take plaintext
  std::set<Cidr> pods;               // of the same nodes
  std::uint32_t outer_mark = 0;      // what passes all the same, since it carries ciphertext
  std::uint16_t wireguard_port = 0;  // 0: ESP
  std::uint16_t vxlan_port = 0;      // 0: no overlay of ours
  bool operator==(const BackstopNodes&) const = default;
};

// The second line behind the programs, in netfilter: pods' packets to pods elsewhere are dropped on any device but
// these, and node traffic to and from the nodes where plaintext is refused. So an uplink or overlay that comes later,
// or comes back under its old name, carries none of them in plaintext before it is covered.
struct Backstop {
  bool drops = true;                             // false: only counts them, in permissive mode
  std::map<std::uint32_t, std::string> watched;  // uplinks and overlays by their index; the name is for people
  std::set<std::string> own;                     // Sheath's devices
  std::set<Cidr> cluster;                        // where pods are
  std::set<Cidr> local;                          // which of them are this node's
  BackstopNodes nodes;
  bool operator==(const Backstop&) const = default;
};

// Tells one from another, names of watched devices aside; never 0, which stands for one that somebody has changed.
std::uint64_t digest(const Backstop& backstop);

}  // namespace sheath::plan
