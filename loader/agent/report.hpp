// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/state/good_nodes.hpp"

namespace sheath::agent {

// A peer that the last round could not bring to what it should be.
struct FailedPeer {
  std::string peer;
  std::string error;
  bool operator==(const FailedPeer&) const = default;
};

// What an agent says of itself. Times are seconds since the epoch, 0 is never.
struct AgentReport {
  int pid = 0;
  std::string version;
  std::int64_t started = 0;
  std::uint64_t rounds = 0;
  std::uint64_t small_rounds = 0;  // those of them that looked at a few changed nodes alone
  std::uint64_t failures = 0;      // of them, as a whole or with a peer
  std::uint64_t steps = 0;         // done, by all rounds together
  std::int64_t last_round = 0;
  std::int64_t last_success = 0;
  std::uint64_t last_milliseconds = 0;  // that the last round took
  std::int64_t next_milliseconds = 0;   // until the next one
  bool settled = false;
  std::string error;         // of the last round; empty: it succeeded
  std::string hint;          // that goes with it
  std::string config_error;  // why the configuration on disk is not the one in use; empty: it is
  std::vector<std::string> waiting_for_key;
  std::vector<std::string> waits;
  std::vector<std::string> warnings;
  std::vector<state::GoodNodes::Refused> refused;
  std::vector<FailedPeer> failed_peers;

  bool operator==(const AgentReport&) const = default;
};

// One JSON object in one line, with its line end.
std::string report_json(const AgentReport& report);
Result<AgentReport> parse_report(std::string_view json);

// What is wrong with it, a line each. Pure.
std::vector<std::string> agent_problems(const AgentReport& report);

// The protocol of the control socket, `agent.sock` in the run folder: a request is one JSON object in one line,
//   {"request": "status"}    the answer is a report
//   {"request": "resync"}    a round at once; the answer is {"ok": true}
//   {"request": "reload"}    the configuration is read again; the same answer
// and the answer to anything else is {"error": "…"}.
inline constexpr const char* kSocketName = "agent.sock";
enum class Request { kStatus, kResync, kReload };
Result<Request> parse_request(std::string_view line);
std::string request_json(Request request);
std::string error_json(std::string_view error);

// Asks the agent of a node, and waits some seconds for its answer: it may be in the middle of a round. ENOENT or
// ECONNREFUSED: no agent listens.
Result<std::string> ask_agent(const std::filesystem::path& run_folder, Request request);

}  // namespace sheath::agent
