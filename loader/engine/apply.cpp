// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "loader/engine/engine.hpp"
#include "loader/engine/lock.hpp"
#include "loader/engine/round.hpp"
#include "loader/plan/planner.hpp"
#include "loader/state/node_source.hpp"

namespace sheath::engine {
namespace {

constexpr std::chrono::milliseconds kPollInterval{250};

Result<std::optional<Report>> apply_to_few(Session& session, const std::set<std::string>& changed_files) {
  const auto lock = RunLock::acquire(session.config.paths.run);
  if (!lock) return fail(lock.error());
  return go_small_round(session, changed_files);
}

// `into` becomes the report of both. Rounds that only probed again are not worth a line each.
void add_round(Report&& round, Report& into) {
  const auto is_probe = [](const plan::Step& step) { return std::holds_alternative<plan::SendProbes>(step); };
  if (!std::ranges::all_of(round.plan, is_probe)) {
    std::ranges::move(round.plan, std::back_inserter(into.plan));
    into.steps_done = round.steps_done;
  }
  into.names.nodes.merge(round.names.nodes);
  into.names.keys.merge(round.names.keys);
  into.waiting_for_key = std::move(round.waiting_for_key);
  into.waits = std::move(round.waits);
  into.settled = round.settled;
  into.failures = std::move(round.failures);
  into.warnings = std::move(round.warnings);
}

Result<Report> apply_once(Session& session, std::size_t steps_done = 0) {
  auto report = go_round(session, steps_done);
  bool again = report && !session.dry_run && report->again;
  while (again) {
    auto round = go_round(session, report->steps_done);
    if (!round) return round;
    again = round->again;
    add_round(std::move(*round), *report);
  }
  return report;
}

Result<Report> apply_locked(Session& session, std::size_t steps_done = 0) {
  const auto lock = RunLock::acquire(session.config.paths.run);
  if (!lock) return fail(lock.error());
  return apply_once(session, steps_done);
}

}  // namespace

Result<Report> apply(const state::Config& config, const ApplyOptions& options) {
  auto session = open_session(config, options.dry_run, options.kept);
  if (!session) return fail(std::move(session.error()));
  if (options.dry_run) return apply_once(*session);
  if (options.kept != nullptr && options.changed_files) {
    auto report = apply_to_few(*session, *options.changed_files);
    if (!report) return fail(std::move(report.error()));
    if (*report) return std::move(**report);
  }

  const auto deadline = std::chrono::steady_clock::now() + options.wait;
  auto report = apply_locked(*session);
  while (report && !report->settled && report->failures.empty() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kPollInterval);
    auto round = apply_locked(*session, report->steps_done);
    if (!round) return round;
    add_round(std::move(*round), *report);
  }
  return report;
}

Result<plan::Ipsec> rotation_state(const state::Config& config) {
  if (config.encryption != state::Encryption::kIpsec) return fail(Error::misuse("encryption is not ipsec"));
  auto session = open_session(config, true);
  if (!session) return fail(std::move(session.error()));
  const auto now = look_around(*session);
  if (!now) return fail(now.error());
  auto desired = decide(*session, *now);
  if (!desired) return fail(std::move(desired.error()));
  return std::move(*desired->ipsec);
}

Result<Report> unload(const state::Config& config, bool dry_run) {
  auto session = open_session(config, dry_run);
  if (!session) return fail(std::move(session.error()));
  std::optional<RunLock> lock;
  if (!dry_run) {
    if (const auto agent = ProcessLock::look(config.paths.run, kAgentLock); agent.state == ProcessLock::State::kRuns) {
      return fail(Error("the agent runs (process " + std::to_string(agent.pid) + "): it would bring everything back")
                      .hint("end it first: systemctl stop sheath"));
    }
    auto acquired = RunLock::acquire(config.paths.run);
    if (!acquired) return fail(std::move(acquired.error()));
    lock = std::move(*acquired);
  }

  const auto source = state::make_node_source(config);
  if (!source) return fail(source.error());
  state::Node own;
  own.name = config.node_name;
  const auto seen = observe(session->socket, {config.paths.bpffs, config.paths.run, (*source)->publication(own).path});
  if (!seen) return fail(seen.error());

  Report report;
  report.plan = plan::make_unload_plan(seen->actual);
  if (dry_run) return report;
  Executor executor(session->socket, config);
  if (auto done = run(executor, {}, report); !done) return fail(std::move(done.error()));
  if (!report.failures.empty()) return fail(std::move(report.failures.front().error));
  ProcessLock::remove_stale(config.paths.run);
  lock->remove_file();
  return report;
}

}  // namespace sheath::engine
