// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/netlink/xfrm_stat.hpp"
#include "loader/plan/rotation.hpp"
#include "loader/state/config.hpp"

namespace sheath::engine {

// A key ID under which this node has ESP states.
struct KeyInUse {
  std::uint8_t id = 0;
  std::size_t peers_sent_to = 0;  // whose data goes under it
  std::size_t transmit_states = 0;
  std::size_t receive_states = 0;
  std::optional<std::chrono::seconds> age;  // since this node drew its session; absent: there is none any more
  std::optional<std::uint8_t> key_file_id;  // of the key file's key that the session was drawn with
};

struct PeerKeys {
  std::uint16_t node_id = 0;
  std::string name;
  std::optional<plan::RotationPhase> phase;  // absent: configuration, key file or node objects cannot be read
  std::uint8_t sends_on = 0;                 // 0: nothing is sent
  std::uint8_t next = 0;                     // the key ID that is on its way; 0: none
  std::vector<std::uint8_t> receives_on;
  std::vector<std::uint8_t> heard_on;
  std::uint64_t sent_sequence = 0;      // the highest, of its transmit states
  std::uint64_t received_sequence = 0;  // the same, of its receive states
};

// What an operator of IPsec looks for, from kernel, pins and run directory.
struct EncryptStatus {
  bool ipsec = false;      // cilium_xfrm0 is there
  bool wireguard = false;  // cilium_wg0 is
  std::string algorithm;   // of the key file; empty: it cannot be read
  std::uint8_t key_file_id = 0;
  std::string key_file_fingerprint;
  std::vector<KeyInUse> keys;  // by ID
  std::uint64_t max_sequence = 0;
  netlink::XfrmStat errors;  // those that are not zero
  std::vector<PeerKeys> peers;
  std::vector<std::string> waits;     // what a rotation waits for
  std::vector<std::string> warnings;  // what could not be looked at
};

Result<EncryptStatus> encrypt_status(const state::Config& config);

}  // namespace sheath::engine
