// SPDX-License-Identifier: Apache-2.0
#include <linux/netlink.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "loader/bpf/pinned_maps.hpp"
#include "loader/engine/engine.hpp"
#include "loader/engine/executor.hpp"
#include "loader/engine/facts.hpp"
#include "loader/engine/ipsec_material.hpp"
#include "loader/engine/lock.hpp"
#include "loader/engine/observe.hpp"
#include "loader/engine/preflight.hpp"
#include "loader/engine/translate.hpp"
#include "loader/keys/key_file.hpp"
#include "loader/plan/desired.hpp"
#include "loader/plan/planner.hpp"
#include "loader/state/cluster.hpp"
#include "loader/state/node_source.hpp"

namespace sheath::engine {
namespace {

constexpr std::chrono::milliseconds kPollInterval{250};

// What apply works on; lives as long as one call.
struct Session {
  const state::Config& config;
  bool dry_run;
  const Kept* kept;
  netlink::Socket socket;
  DigestCache own_digests;  // where nothing is kept

  DigestCache& digests() { return kept == nullptr ? own_digests : kept->digests; }
  DigestCache* kept_digests() { return kept == nullptr ? nullptr : &kept->digests; }
};

Result<Session> open_session(const state::Config& config, bool dry_run, const Kept* kept = nullptr) {
  if (auto allowed = check_privileges(); !allowed) return fail(std::move(allowed.error()));
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  if (!socket) return fail(std::move(socket.error()));
  return Session{config, dry_run, kept, std::move(*socket), {}};
}

// The public half, all zeros where there is no key and none may be made. Nothing is made before the rest of the input
// was found good.
Result<keys::PublicKey> public_key(const Session& session) {
  const auto& file = session.config.wireguard.private_key_file;
  auto key = session.dry_run ? keys::load_private_key(file) : keys::load_or_create_private_key(file);
  if (key) return key->public_key();
  if (session.dry_run && key.error().error_number() == ENOENT) return keys::PublicKey{};
  return fail(std::move(key.error()).context("wireguard.privateKeyFile"));
}

struct Input {
  state::Cluster cluster;
  plan::Publication publication;
  plan::Publication publication_encrypting;
  bool says_it_encrypts = false;
  std::vector<std::string> warnings;
};

Result<> add_own_key(const Session& session, std::span<const state::NodeObject> objects, const IpsecMaterial* ipsec,
                     state::Node& own) {
  if (session.config.encryption == state::Encryption::kNone) return {};
  if (ipsec != nullptr) {
    ipsec->describe(own);
    return {};
  }
  // Judge the input first: a cluster that is refused makes no key.
  if (const auto cluster = state::make_cluster(session.config, objects, own); !cluster) return fail(cluster.error());
  const auto key = public_key(session);
  if (!key) return fail(key.error());
  if (*key != keys::PublicKey{}) own.wireguard_key = *key;
  return {};
}

bool says_it_encrypts(const state::Config& config, std::span<const state::NodeObject> objects) {
  return std::ranges::any_of(objects, [&](const state::NodeObject& object) {
    return object.kind == state::ObjectKind::kPublished && object.node.name == config.node_name &&
           object.node.node_encryption == true;
  });
}

// An own object that is missing is no other's fault, and comes up later.
Result<> check_objects(const state::Config& config, std::span<const state::NodeObject> objects,
                       std::span<const IpAddress> addresses) {
  auto own = state::own_node(config, objects, addresses);
  if (!own) {
    own.emplace();
    own->name = config.node_name;
  }
  const auto cluster = state::make_cluster(config, objects, *own);
  if (!cluster) return fail(cluster.error());
  return {};
}

Result<std::vector<state::NodeObject>> read_objects(const Session& session, state::NodeSource& source,
                                                    std::span<const IpAddress> addresses) {
  if (session.kept == nullptr) return source.read();
  return session.kept->good.read(source, [&](std::span<const state::NodeObject> objects) {
    return check_objects(session.config, objects, addresses);
  });
}

Result<Input> read_input(const Session& session, const plan::Facts& facts, const IpsecMaterial* ipsec) {
  const auto made = state::make_node_source(session.config);
  if (!made) return fail(made.error());
  auto& source = session.kept == nullptr ? **made : session.kept->source;

  std::vector<IpAddress> addresses;
  for (const auto& uplink : facts.uplinks) {
    addresses.insert(addresses.end(), uplink.addresses.begin(), uplink.addresses.end());
  }
  const auto objects = read_objects(session, source, addresses);
  if (!objects) return fail(objects.error());
  auto own = state::own_node(session.config, *objects, addresses);
  if (!own) return fail(std::move(own.error()));
  if (auto done = add_own_key(session, *objects, ipsec, *own); !done) return fail(std::move(done.error()));
  auto cluster = state::make_cluster(session.config, *objects, *own);
  if (!cluster) return fail(std::move(cluster.error()));
  auto published = source.publication(*own);
  own->node_encryption = true;
  auto encrypting = source.publication(*own);
  return Input{std::move(cluster->nodes),
               {published.path.string(), std::move(published.content)},
               {encrypting.path.string(), std::move(encrypting.content)},
               says_it_encrypts(session.config, *objects),
               std::move(cluster->warnings)};
}

bool any_node_traffic(const state::Config& config, const Input& input) {
  return config.node_encryption || input.says_it_encrypts ||
         std::ranges::any_of(input.cluster, [](const auto& entry) { return entry.second.node_encryption == true; });
}

Result<> refuse_foreign(const Observation& seen, const state::Config& config) {
  if (config.encryption == state::Encryption::kNone) return {};
  const bool ipsec = config.encryption == state::Encryption::kIpsec;
  for (const auto& name : seen.foreign) {
    const bool wanted = name == (ipsec ? plan::kXfrmDevice : plan::kWireguardDevice) ||
                        (name == plan::kOverlayDevice && config.routing == state::Routing::kVxlan);
    if (!wanted) continue;
    return fail(
        Error(name + " exists and is not Sheath's")
            .hint("another encryption (Cilium's?) may be using it; if nothing does, remove it: ip link del " + name));
  }
  return {};
}

Result<> check_kernel(Session& session) {
  if (session.dry_run) return {};
  if (session.config.encryption == state::Encryption::kWireguard) return check_wireguard(session.socket);
  if (session.config.encryption == state::Encryption::kIpsec) return check_ipsec(session.socket);
  return {};
}

// What one round knows before it plans.
struct Situation {
  GatheredFacts gathered;
  std::optional<IpsecMaterial> ipsec;
  Input input;
  Observation seen;
  std::optional<plan::IpsecInputs> ipsec_inputs;  // with IPsec

  const plan::IpsecInputs* inputs() const { return ipsec_inputs ? &*ipsec_inputs : nullptr; }
  const IpsecMaterial* secrets() const { return ipsec ? &*ipsec : nullptr; }
};

Result<Situation> look_around(Session& session) {
  const auto& config = session.config;
  auto gathered = gather_facts(session.socket, config);
  if (!gathered) return fail(std::move(gathered.error()));
  std::optional<IpsecMaterial> ipsec;
  if (config.encryption == state::Encryption::kIpsec) {
    auto loaded = IpsecMaterial::load(config);
    if (!loaded) return fail(std::move(loaded.error()));
    ipsec = std::move(*loaded);
  }
  if (auto usable = check_kernel(session); !usable) return fail(std::move(usable.error()));
  auto input = read_input(session, gathered->facts, ipsec ? &*ipsec : nullptr);
  if (!input) return fail(std::move(input.error()));
  const bool may_use_uplinks = gathered->facts.all_rp_filter != 0 || config.delivery == state::Delivery::kUplink;
  if (any_node_traffic(config, *input) || may_use_uplinks) {
    auto routes = main_routes(session.socket);
    if (!routes) return fail(std::move(routes.error()));
    gathered->facts.routes = std::move(*routes);
  }
  auto seen = observe(session.socket, {config.paths.bpffs, config.paths.run, input->publication.path});
  if (!seen) return fail(std::move(seen.error()));
  if (auto refused = refuse_foreign(*seen, config); !refused) return fail(std::move(refused.error()));
  Situation now{std::move(*gathered), std::move(ipsec), std::move(*input), std::move(*seen), std::nullopt};
  if (!now.ipsec) return now;
  auto inputs = now.ipsec->inputs(config, now.input.cluster, now.seen.actual.ipsec, session.digests());
  if (!inputs) return fail(std::move(inputs.error()));
  now.ipsec_inputs = std::move(*inputs);
  return now;
}

Result<plan::Desired> decide(const Session& session, const Situation& now) {
  return plan::build_desired({session.config, now.input.cluster, now.gathered.facts, now.seen.actual,
                              now.input.publication, now.input.publication_encrypting, now.input.says_it_encrypts,
                              now.inputs()});
}

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

Result<> run(Executor& executor, const Cuts& cuts, Report& report) {
  if (auto done = executor.run(report.plan, report.names, cuts, report.steps_done); !done) return done;
  report.failures = executor.failures();
  if (report.failures.empty()) return {};
  report.settled = false;
  report.again = false;  // who is to try again decides when
  return {};
}

// Once around: look, plan, do. `steps_done` counts on.
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

// A round about a few nodes, if that is possible.
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
