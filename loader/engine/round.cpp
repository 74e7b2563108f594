// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/round.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "loader/bpf/pinned_maps.hpp"
#include "loader/engine/translate.hpp"
#include "loader/plan/planner.hpp"

namespace sheath::engine {
namespace {

// What a plan did to this node's sessions has to be published, and that is the next plan's.
bool changed_sessions(const plan::Plan& plan) {
  return std::ranges::any_of(plan, [](const plan::Step& step) {
    return std::holds_alternative<plan::DrawSession>(step) || std::holds_alternative<plan::RetireSession>(step);
  });
}

// What the next round may build on, when this one's plan is done.
std::optional<Memory> memory_of(const Session& session, const Situation& now, const plan::Desired& desired,
                                const Report& report) {
  if (session.kept == nullptr || report.again) return std::nullopt;
  return Memory::of(
      {session.config, now.input.cluster, now.gathered.facts, now.seen.actual, now.inputs(), desired, report.plan});
}

// What the plan for `desired` does not settle.
void add_waits(const plan::Desired& desired, Report& report) {
  report.waiting_for_key = desired.waiting_for_key;
  report.waits = desired.waits;
  report.settled = desired.waiting_for_key.empty() && desired.waits.empty();
  if (!desired.ipsec) return;
  std::ranges::copy(desired.ipsec->rotation.waits, std::back_inserter(report.waits));
  report.settled = report.settled && plan::is_settled(*desired.ipsec);
}

Report report_of(const Situation& now, const plan::Desired& desired) {
  Report report;
  report.plan = plan::make_plan(desired, now.seen.actual);
  report.again = desired.node_traffic_pending || changed_sessions(report.plan);
  report.names = desired.names;
  add_waits(desired, report);
  const auto add = [&](const std::vector<std::string>& warnings) {
    report.warnings.insert(report.warnings.end(), warnings.begin(), warnings.end());
  };
  add(now.gathered.warnings);
  add(now.input.warnings);
  add(desired.warnings);
  return report;
}

Result<std::map<std::uint16_t, plan::Heard>> heard_from(const bpf::PinnedMaps& maps,
                                                        const std::set<std::uint16_t>& node_ids) {
  const auto rows = maps.heard_of(node_ids);
  if (!rows) return fail(rows.error());
  std::map<std::uint16_t, plan::Heard> out;
  for (const auto& [id, row] : *rows) out[id] = from_heard(row);
  return out;
}

// Whatever cannot be had is for a look at everything to complain about.
std::optional<IpsecMaterial> secrets_of(const state::Config& config) {
  if (config.encryption != state::Encryption::kIpsec) return std::nullopt;
  auto loaded = IpsecMaterial::load(config);
  if (!loaded) return std::nullopt;
  return std::move(*loaded);
}

}  // namespace

Result<plan::Desired> decide(const Session& session, const Situation& now) {
  return plan::build_desired({session.config, now.input.cluster, now.gathered.facts, now.seen.actual,
                              now.input.publication, now.input.publication_encrypting, now.input.says_it_encrypts,
                              now.inputs()});
}

Result<> run(Executor& executor, const Cuts& cuts, Report& report) {
  if (auto done = executor.run(report.plan, report.names, cuts, report.steps_done); !done) return done;
  report.failures = executor.failures();
  if (report.failures.empty()) return {};
  report.settled = false;
  report.again = false;  // who is to try again decides when
  return {};
}

Result<Report> go_round(Session& session, std::size_t steps_done) {
  if (session.kept != nullptr) session.kept->memory.reset();
  const auto cuts = cuts_from_environment();
  if (!cuts) return fail(cuts.error());
  const auto now = look_around(session);
  if (!now) return fail(now.error());
  const auto desired = decide(session, *now);
  if (!desired) return fail(desired.error());
  auto report = report_of(*now, *desired);
  auto memory = memory_of(session, *now, *desired, report);
  report.steps_done = steps_done;
  if (session.dry_run) return report;
  Executor executor(session.socket, session.config, now->secrets(), session.kept_digests());
  auto done = run(executor, *cuts, report);
  if (!done) return fail(std::move(done.error()));
  if (memory && report.failures.empty()) session.kept->memory = std::move(memory);
  return report;
}

Result<std::optional<Report>> go_small_round(Session& session, const std::set<std::string>& changed_files) {
  auto& [source, good, digests, memory] = *session.kept;
  if (!memory) return std::nullopt;
  const auto cuts = cuts_from_environment();
  if (!cuts) return fail(cuts.error());
  auto known = std::exchange(memory, std::nullopt);
  const auto files = source.read_again(changed_files);
  if (!files) return std::nullopt;
  const auto ipsec = secrets_of(session.config);
  auto maps = bpf::PinnedMaps::open(session.config.paths.bpffs, bpf::Access::kWrite);
  if (!maps || !*maps) return std::nullopt;
  const auto heard = [&](const std::set<std::uint16_t>& ids) { return heard_from(**maps, ids); };
  auto few = plan_few(session.config, *known, good, *files, {ipsec ? &*ipsec : nullptr, digests, heard});
  if (!few) return std::nullopt;
  good.take(few->update);
  Report report;
  report.of_few = true;
  report.plan = few->plan;
  report.names = few->desired.names;
  add_waits(few->desired, report);
  Executor executor(session.socket, session.config, ipsec ? &*ipsec : nullptr, session.kept_digests());
  executor.use(std::move(**maps));
  if (auto done = run(executor, *cuts, report); !done) return fail(std::move(done.error()));
  if (report.failures.empty() && remember(*few, *known)) memory = std::move(known);
  return report;
}

}  // namespace sheath::engine
