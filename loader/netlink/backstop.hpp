// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/netlink/message.hpp"
#include "loader/netlink/socket.hpp"

// The second line behind the programs: an nf_tables table of our own (inet sheath) that drops, on a device that no
// program watches, what pods send to each other across nodes, and what nodes do where that has to be encrypted. A
// socket here is one of NETLINK_NETFILTER.
namespace sheath::netlink {

inline constexpr const char* kBackstopTable = "sheath";

// Node traffic. None of it is dropped without peers.
struct NodeRules {
  std::set<IpAddress> own;           // this node's addresses
  std::set<IpAddress> peers;         // of the nodes that neither send nor take plaintext
  std::set<Cidr> pods;               // of the same nodes
  std::uint32_t outer_mark = 0;      // what carries ciphertext has it when it leaves
  std::uint16_t wireguard_port = 0;  // UDP, at both ends; 0: ciphertext is ESP
  std::uint16_t vxlan_port = 0;      // UDP; 0: no overlay. What it brings is judged where it comes out
};

struct BackstopRules {
  bool drops = true;                // false: what they are about is counted, and passes
  std::set<std::uint32_t> watched;  // devices by their index: nothing is dropped there
  std::set<std::string> own;        // nor there, and not on lo
  std::set<Cidr> cluster;           // where pods are
  std::set<Cidr> local;             // and which of them are this node's
  NodeRules nodes;
  bool xfrm_encrypts = false;  // what xfrm is about to take passes: ours is ESP, and with WireGuard none of it is ours
};

// The table as it is.
struct BackstopReport {
  std::uint64_t digest = 0;   // as it was given to replace_backstop()
  bool intact = false;        // all rules are there, and the table is not switched off
  std::uint64_t packets = 0;  // dropped, or counted
};

// nullopt: there is none. Loads no kernel module.
Result<std::optional<BackstopReport>> find_backstop();

// In one transaction: the old rules hold until the new ones do. `digest` comes back in the report.
Result<> replace_backstop(const BackstopRules& rules, std::uint64_t digest);

// None is no error.
Result<> remove_backstop();

// For tests: the messages of that transaction.
std::vector<Message> encode_backstop(const BackstopRules& rules, std::uint64_t digest);

}  // namespace sheath::netlink
