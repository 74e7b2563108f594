// SPDX-License-Identifier: Apache-2.0
#include <linux/netlink.h>

#include "loader/engine/engine.hpp"
#include "loader/engine/executor.hpp"
#include "loader/engine/facts.hpp"
#include "loader/engine/lock.hpp"
#include "loader/engine/observe.hpp"
#include "loader/plan/desired.hpp"
#include "loader/plan/planner.hpp"

namespace sheath::engine {
namespace {

// The first step towards what is wished for, as it is when nothing is known but the configuration: whatever the engine
// and the peers, it closes the uplinks.
Result<plan::Plan> closing_plan(netlink::Socket& socket, const state::Config& config, const plan::Actual& actual) {
  auto plain = config;
  plain.encryption = state::Encryption::kWireguard;
  plain.routing = state::Routing::kNative;
  plain.fast_path = false;
  plain.node_encryption = false;
  const auto gathered = gather_facts(socket, plain);
  if (!gathered) return fail(gathered.error());
  state::Cluster alone;
  alone[config.node_name].name = config.node_name;
  const plan::Inputs inputs{plain, alone, gathered->facts, actual, std::nullopt};
  const auto desired = plan::build_desired(inputs);
  if (!desired) return fail(desired.error());
  auto plan = plan::make_plan(*desired, actual);
  std::erase_if(plan, [](const plan::Step& step) { return !std::holds_alternative<plan::Fence>(step); });
  return plan;
}

}  // namespace

Result<bool> close_if_bare(const state::Config& config) {
  const bool wanted = config.mode == state::Mode::kStrict && config.encryption != state::Encryption::kNone &&
                      !config.cluster_pod_cidrs.empty();
  if (!wanted) return false;
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  if (!socket) return fail(std::move(socket.error()));
  const auto lock = RunLock::acquire(config.paths.run);
  if (!lock) return fail(lock.error());
  const auto seen = observe(*socket, {config.paths.bpffs, config.paths.run, {}});
  if (!seen) return fail(seen.error());
  if (seen->actual.pins != plan::Pins::kNone || !seen->attached.empty()) return false;
  auto plan = closing_plan(*socket, config, seen->actual);
  if (!plan) return fail(plan.error());
  std::size_t done = 0;
  if (auto ran = Executor(*socket, config).run(*plan, {}, {}, done); !ran) return fail(std::move(ran.error()));
  return done > 0;
}

}  // namespace sheath::engine
