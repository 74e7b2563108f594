// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/keys/session.hpp"

namespace sheath::keys {

using Sessions = std::map<std::uint8_t, Session>;        // by generation
using RecordedPeers = std::map<std::string, PublicKey>;  // by peer: the session that was used with ours

// This node's sessions, in the run directory (a tmpfs, so that a reboot forgets them):
//
//   <run>/ipsec/session-3   tag, time, private key and pre-shared key of generation 3; mode 0600, its folder 0700
//   <run>/ipsec/pairs-3     whom data may have been sent to under it: one line for our public key, then "peer key"; of
//                           two about one peer the later one counts, and a line that is cut short says nothing
//
// The caller holds the node's lock.
class SessionStore {
 public:
  explicit SessionStore(const std::filesystem::path& run_folder) : folder_(run_folder / "ipsec") {}

  // An odd file is an error that names it. None at all: empty.
  Result<Sessions> load() const;
  // Is there anything?
  bool empty() const;
  // Complete and on disk before it has its name; replaces one of the same generation.
  Result<> save(const Session& session) const;
  // Overwritten, then removed, with its record. No error when there is none.
  Result<> wipe(std::uint8_t generation) const;
  Result<> wipe_all() const;

  // What was recorded for exactly this session; a record of another one of its generation counts as none.
  Result<RecordedPeers> recorded(const Session& session) const;
  // Adds to it: on disk when it returns.
  Result<> record(const Session& session, const RecordedPeers& peers) const;

 private:
  Result<std::vector<std::uint8_t>> generations() const;
  std::filesystem::path session_file(std::uint8_t generation) const;
  std::filesystem::path pairs_file(std::uint8_t generation) const;

  std::filesystem::path folder_;
};

}  // namespace sheath::keys
