// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "loader/cli/cluster_input.hpp"
#include "loader/cli/commands.hpp"
#include "loader/cli/verify_view.hpp"
#include "loader/cli/verify_watch.hpp"
#include "loader/state/nearest.hpp"
#include "loader/state/value_parsers.hpp"
#include "loader/verify/probes.hpp"
#include "loader/verify/run.hpp"

namespace sheath::cli {
namespace {

constexpr std::chrono::seconds kTimeout{5};
constexpr state::DurationRange kTimeouts{std::chrono::seconds(1), std::chrono::hours(1)};

Result<std::chrono::seconds> read_timeout(const Invocation& invocation) {
  const auto given = invocation.options.find("timeout");
  if (given == invocation.options.end()) return kTimeout;
  const auto timeout = state::parse_duration(given->second, kTimeouts);
  if (!timeout) return fail(Error(timeout.error()).context("--timeout"));
  return *timeout;
}

// That each name is a peer's.
Result<> check_names(const std::vector<std::string>& names, const state::Cluster& cluster, const std::string& own) {
  std::vector<std::string_view> known;
  for (const auto& [name, node] : cluster) {
    if (name != own) known.push_back(name);
  }
  for (const auto& name : names) {
    if (name == own) return fail(Error::misuse("\"" + name + "\" is this node: name its peers"));
    if (std::ranges::find(known, name) == known.end()) {
      return fail(Error::misuse("no peer is called \"" + name + "\"").hint(state::nearest_hint(name, known)));
    }
  }
  return {};
}

Result<std::vector<verify::Probe>> read_probes(const Invocation& invocation, const state::Config& config,
                                               const state::Cluster& cluster) {
  if (!cluster.contains(config.node_name)) {
    return fail(Error::misuse("no node object describes this node, \"" + config.node_name + "\"")
                    .hint("config key nodeName says which node this is"));
  }
  const auto& names = invocation.arguments;
  if (auto good = check_names(names, cluster, config.node_name); !good) return fail(std::move(good.error()));
  auto probes = verify::plan_probes(config, cluster);
  if (!names.empty())
    std::erase_if(probes, [&](const auto& probe) { return std::ranges::find(names, probe.peer) == names.end(); });
  return probes;
}

ExitCode exit_code(verify::Conclusion conclusion) {
  switch (conclusion) {
    case verify::Conclusion::kProven:
      return kDone;
    case verify::Conclusion::kNotProven:
      return kFailed;
    case verify::Conclusion::kPlaintext:
      return kDegraded;
  }
  return kFailed;
}

Result<Outcome> run_verify(const Invocation& invocation) {
  if (invocation.has("watch")) return run_verify_watch(invocation);
  if (invocation.has("for")) return fail(Error::misuse("--for belongs to --watch"));
  const auto timeout = read_timeout(invocation);
  if (!timeout) return fail(timeout.error());
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  const auto& config = loaded->config;
  const auto cluster = read_cluster(config);
  if (!cluster) return fail(cluster.error());
  auto probes = read_probes(invocation, config, cluster->nodes);
  if (!probes) return fail(probes.error());
  const auto findings = verify::verify(config, cluster->nodes, std::move(*probes), *timeout);
  if (!findings) return fail(findings.error());
  return Outcome{
      invocation.json() ? verify_json(config.node_name, *findings) : verify_text(*findings, invocation.style),
      exit_code(verify::conclude(*findings))};
}

}  // namespace

Command verify_command() {
  return {
      .name = "verify",
      .summary = "whether what goes to each peer is encrypted, shown by packets",
      .arguments = "[PEER...]",
      .max_arguments = 10000,
      .details =
          "Sends marked packets as pods and this node would, in both families, and looks on at every device of the\n"
          "node, below all programs. A packet that can be read there was plaintext. One that cannot, while ciphertext\n"
          "went to the peer, and that the peer answered out of its tunnel, was encrypted. Anything else proves\n"
          "nothing: unreachable. What should be encrypted is said by the configuration and the node objects.\n"
          "Exit code 3 when something is in the clear that should not be, 1 when nothing was, but not all is proven.\n"
          "\n"
          "With --watch it sends nothing, and audits what passes the uplinks, until it is interrupted: each flow of "
          "the\n"
          "cluster's that can be read, whatever encapsulation it is in, is a line, and all its packets are counted.\n"
          "Exit code 3 when there was one.",
      .options = {{"timeout", "DURATION", "how long to wait for answers; default: 5s"},
                  {"watch", "", "audit the traffic that there is"},
                  {"for", "DURATION", "with --watch: end after that time"}},
      .examples = {{"sheath verify", "all peers"},
                   {"sheath verify kind-worker2 --timeout 20s", "one of them, over a slow link"},
                   {"sheath verify -o json", "every packet, and what was seen of it"},
                   {"sheath verify --watch", "until Ctrl-C"},
                   {"sheath verify --watch --for 1h -o json", "a line of JSON for each leak, and one at the end"}},
      .run = run_verify};
}

}  // namespace sheath::cli
