// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/engine/digest_cache.hpp"
#include "loader/engine/few.hpp"
#include "loader/plan/step.hpp"
#include "loader/state/config.hpp"
#include "loader/state/good_nodes.hpp"
#include "loader/state/node_source.hpp"

// Brings this node (this thread's network namespace) to what configuration and node objects ask for, or back.
namespace sheath::engine {

// What an agent keeps from round to round: where it has its node objects from, what it knows of them, and of keys. All
// have to outlive the call.
struct Kept {
  state::NodeSource& source;
  state::GoodNodes& good;
  DigestCache& digests;
  std::optional<Memory>& memory;  // of the last round over everything, if rounds about a few nodes can follow it
};

struct ApplyOptions {
  bool dry_run = false;  // plans and changes nothing; a key that does not exist yet is not made
  // How long to stay, applying again and again, until every peer has a key and no rotation is on its way. 0: not at
  // all.
  std::chrono::milliseconds wait{0};
  // Null: all node objects of the configuration's source have to be good.
  const Kept* kept = nullptr;
  // With `kept`: since the last call nothing has changed but these files of the source, by its own names, or what the
  // last call's peers were waited for.
  std::optional<std::set<std::string>> changed_files = std::nullopt;
};

// A peer that is not as it should be, since a step about it failed; the others' steps were done.
struct PeerFailure {
  std::string peer;
  Error error;
};

struct Report {
  plan::Plan plan;    // empty: nothing had to change. With `wait`, all rounds one after the other
  plan::Names names;  // for plan::describe
  std::size_t steps_done = 0;
  std::vector<std::string> waiting_for_key;  // peers by name
  std::vector<std::string> waits;            // what a rotation waits for, a line each
  bool settled = true;                       // nothing is on its way
  bool again = false;                        // another round is due at once
  bool of_few = false;                       // it looked at a few nodes alone: says nothing of the others
  std::vector<PeerFailure> failures;
  std::vector<std::string> warnings;
};

// Whatever is wrong with configuration, node objects, devices, privileges or kernel is found before the first change.
// A step that fails ends it, with the step in the error; what was done stays, and the next apply goes on from there. If
// it is about one peer, the others' steps are done, and the peer is in the report's `failures`.
//
// Test hooks of the environment: SHEATH_KILL_AT=n kills this process (SIGKILL) before step n, SHEATH_FAIL_AT=n makes
// that step fail, SHEATH_SLOW_AT=n sleeps for three seconds before it; n counts from 0, the number of steps means after
// the last.
Result<Report> apply(const state::Config& config, const ApplyOptions& options);

// For who cannot apply yet, and keeps trying: where nothing of ours is on the node, strict mode drops what pods send to
// pods of other nodes, and theirs, by the configuration alone (clusterPodCIDRs, uplinks), until an apply succeeds.
// True: it did so now.
Result<bool> close_if_bare(const state::Config& config);

// What the next `apply` would decide about the IPsec rotation. Changes nothing. With another encryption, a misuse.
Result<plan::Ipsec> rotation_state(const state::Config& config);

// Removes everything of ours but the private key file. Needs no node objects.
Result<Report> unload(const state::Config& config, bool dry_run);

}  // namespace sheath::engine
