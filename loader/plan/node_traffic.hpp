// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "maps/types.h"

// Node encryption, node by node: what this node does with the node traffic of each peer, and what it says of itself.
// Pure.
//
// Any node takes a peer's node traffic encrypted, at any time. So what is left is that nobody refuses plaintext from a
// peer that still sends it:
//
//   on:   send encrypted ──▶ say so ──▶ require it of peers that say so
//   off:  require nothing ──▶ say so ──▶ look again who says what ──▶ send in plaintext to those that do not say that
//   they
//         encrypt
//
// Each arrow is a round of apply. Two nodes that go in opposite directions at once cannot miss each other: the one that
// turns on says so before it reads whom it may hold to it, and the one that turns off takes its word back before it
// reads whom it has to send to encrypted.
namespace sheath::plan {

struct NodeTrafficView {
  bool on = false;         // nodeEncryption, and this node is not opted out
  bool opted_out = false;  // this node is
  bool published = false;  // this node's published object says that it encrypts
  struct Peer {
    bool opted_out = false;
    bool published = false;
    sheath_node_traffic level = SHEATH_NODE_TRAFFIC_plain;  // now
  };
  std::map<std::string, Peer> peers;
};

struct NodeTraffic {
  std::map<std::string, sheath_node_traffic> levels;  // by peer
  bool publish = false;                               // that this node encrypts
  bool pending = false;                               // once this is done, there is more to do
};

NodeTraffic decide_node_traffic(const NodeTrafficView& view);

}  // namespace sheath::plan
