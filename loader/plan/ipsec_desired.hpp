// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "loader/keys/ipsec_algorithm.hpp"
#include "loader/keys/session.hpp"
#include "loader/plan/model.hpp"
#include "loader/plan/node_ids.hpp"
#include "loader/state/node.hpp"

namespace sheath::plan {

// Of the keys that a pair of sessions gives.
using keys::PairDigests;

using IpsecDigests = std::map<std::pair<std::string, std::uint8_t>, PairDigests>;  // by peer and generation

// What the run directory and the key file say; no key is in it.
struct IpsecInputs {
  std::vector<keys::IpsecAlgorithm> algorithms;  // of the key file and of the sessions
  std::vector<OwnSession> sessions;
  std::uint8_t file_key_id = 0;
  std::set<std::uint8_t> held_psk_ids;
  std::chrono::nanoseconds now{};  // CLOCK_BOOTTIME
  RotationTiming timing;
  std::map<std::uint8_t, std::map<std::string, keys::PublicKey>> recorded;  // by generation and peer
  IpsecDigests digests;
};

struct IpsecPeerInput {
  const state::Node* node = nullptr;
  std::uint16_t node_id = 0;
  std::optional<TunnelEnds> ends;
  bool nodes_too = false;  // node traffic goes through the tunnel as well as the pods'
};

// The first pair of addresses of one family, IPv4 before IPv6.
std::optional<TunnelEnds> common_ends(const std::vector<IpAddress>& own, const std::vector<IpAddress>& peer);

// The engine's peers, and nothing decided about them.
Ipsec ipsec_of(const state::Node& own, const std::vector<OwnSession>& sessions,
               const std::vector<IpsecPeerInput>& peers);

// The engine's peers and the rotation's decision, from what is published, what the kernel has and what was heard.
Ipsec build_ipsec(const state::Node& own, const IpsecInputs& inputs, const std::vector<IpsecPeerInput>& peers,
                  const IpsecActual& actual, const Maps& maps);

// The generation that data to the peer goes under when the plan is done; 0: none.
std::uint8_t generation_in_use(const Ipsec& ipsec, const std::string& peer);

// Nothing is on its way with a peer. It may still be probed, for it to say that it is done, too.
bool is_at_rest(const PeerRotation& peer);

// Nothing is on its way: every peer that was decided about is steady and nobody is waited for.
bool is_settled(const Ipsec& ipsec);

}  // namespace sheath::plan
