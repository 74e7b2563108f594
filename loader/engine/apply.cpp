// SPDX-License-Identifier: Apache-2.0
#include <linux/netlink.h>

#include <algorithm>
#include <thread>

#include "loader/engine/engine.hpp"
#include "loader/engine/executor.hpp"
#include "loader/engine/facts.hpp"
#include "loader/engine/lock.hpp"
#include "loader/engine/observe.hpp"
#include "loader/engine/preflight.hpp"
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
  netlink::Socket socket;
};

Result<Session> open_session(const state::Config& config, bool dry_run) {
  if (auto allowed = check_privileges(); !allowed) return fail(std::move(allowed.error()));
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  if (!socket) return fail(std::move(socket.error()));
  return Session{config, dry_run, std::move(*socket)};
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
  std::vector<std::string> warnings;
};

Result<> add_own_key(const Session& session, std::span<const state::NodeObject> objects, state::Node& own) {
  if (session.config.encryption == state::Encryption::kNone) return {};
  // Judge the input first: a cluster that is refused makes no key.
  if (const auto cluster = state::make_cluster(session.config, objects, own); !cluster) return fail(cluster.error());
  const auto key = public_key(session);
  if (!key) return fail(key.error());
  if (*key != keys::PublicKey{}) own.wireguard_key = *key;
  return {};
}

Result<Input> read_input(const Session& session, const plan::Facts& facts) {
  const auto source = state::make_node_source(session.config);
  if (!source) return fail(source.error());
  const auto objects = (*source)->read();
  if (!objects) return fail(objects.error());

  std::vector<IpAddress> addresses;
  for (const auto& uplink : facts.uplinks) {
    addresses.insert(addresses.end(), uplink.addresses.begin(), uplink.addresses.end());
  }
  auto own = state::own_node(session.config, *objects, addresses);
  if (!own) return fail(std::move(own.error()));
  if (auto done = add_own_key(session, *objects, *own); !done) return fail(std::move(done.error()));
  auto cluster = state::make_cluster(session.config, *objects, *own);
  if (!cluster) return fail(std::move(cluster.error()));
  auto published = (*source)->publication(*own);
  return Input{
      std::move(cluster->nodes), {published.path.string(), std::move(published.content)}, std::move(cluster->warnings)};
}

Result<> refuse_foreign_tunnel(const Observation& seen, const state::Config& config) {
  if (!seen.foreign_tunnel || config.encryption == state::Encryption::kNone) return {};
  return fail(Error(std::string(plan::kWireguardDevice) + " exists and is not Sheath's")
                  .hint("another encryption (Cilium's?) may be using it; if nothing does, remove it: ip link del " +
                        std::string(plan::kWireguardDevice)));
}

// Once around: look, plan, do.
Result<Report> apply_once(Session& session) {
  const auto& config = session.config;
  const auto cuts = cuts_from_environment();
  if (!cuts) return fail(cuts.error());
  auto gathered = gather_facts(session.socket, config);
  if (!gathered) return fail(std::move(gathered.error()));
  if (!session.dry_run && config.encryption != state::Encryption::kNone) {
    if (auto usable = check_wireguard(session.socket); !usable) return fail(std::move(usable.error()));
  }
  auto input = read_input(session, gathered->facts);
  if (!input) return fail(std::move(input.error()));
  const auto seen = observe(session.socket, config.paths.bpffs, input->publication.path);
  if (!seen) return fail(seen.error());
  if (auto refused = refuse_foreign_tunnel(*seen, config); !refused) return fail(std::move(refused.error()));
  auto desired =
      plan::build_desired({config, input->cluster, gathered->facts, seen->actual.maps, std::move(input->publication)});
  if (!desired) return fail(std::move(desired.error()));

  Report report;
  report.plan = plan::make_plan(*desired, seen->actual);
  report.names = std::move(desired->names);
  report.waiting_for_key = std::move(desired->waiting_for_key);
  for (auto* warnings : {&gathered->warnings, &input->warnings, &desired->warnings}) {
    std::ranges::move(*warnings, std::back_inserter(report.warnings));
  }
  if (session.dry_run) return report;
  auto done = Executor(session.socket, config).run(report.plan, report.names, *cuts, report.steps_done);
  if (!done) return fail(std::move(done.error()));
  return report;
}

// `into` becomes the report of both.
void add_round(Report&& round, Report& into) {
  std::ranges::move(round.plan, std::back_inserter(into.plan));
  into.steps_done += round.steps_done;
  into.names.nodes.merge(round.names.nodes);
  into.names.keys.merge(round.names.keys);
  into.waiting_for_key = std::move(round.waiting_for_key);
  into.warnings = std::move(round.warnings);
}

Result<Report> apply_locked(Session& session) {
  const auto lock = RunLock::acquire(session.config.paths.run);
  if (!lock) return fail(lock.error());
  return apply_once(session);
}

}  // namespace

Result<Report> apply(const state::Config& config, const ApplyOptions& options) {
  auto session = open_session(config, options.dry_run);
  if (!session) return fail(std::move(session.error()));
  if (options.dry_run) return apply_once(*session);

  const auto deadline = std::chrono::steady_clock::now() + options.wait;
  auto report = apply_locked(*session);
  while (report && !report->waiting_for_key.empty() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kPollInterval);
    auto round = apply_locked(*session);
    if (!round) return round;
    add_round(std::move(*round), *report);
  }
  return report;
}

Result<Report> unload(const state::Config& config, bool dry_run) {
  auto session = open_session(config, dry_run);
  if (!session) return fail(std::move(session.error()));
  std::optional<RunLock> lock;
  if (!dry_run) {
    auto acquired = RunLock::acquire(config.paths.run);
    if (!acquired) return fail(std::move(acquired.error()));
    lock = std::move(*acquired);
  }

  const auto source = state::make_node_source(config);
  if (!source) return fail(source.error());
  state::Node own;
  own.name = config.node_name;
  const auto seen = observe(session->socket, config.paths.bpffs, (*source)->publication(own).path);
  if (!seen) return fail(seen.error());

  Report report;
  report.plan = plan::make_unload_plan(seen->actual);
  if (dry_run) return report;
  auto done = Executor(session->socket, config).run(report.plan, report.names, {}, report.steps_done);
  if (!done) return fail(std::move(done.error()));
  lock->remove_file();
  return report;
}

}  // namespace sheath::engine
