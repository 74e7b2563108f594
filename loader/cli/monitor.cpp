// SPDX-License-Identifier: Apache-2.0
#include <linux/netlink.h>

#include <atomic>
#include <chrono>
#include <csignal>

#include "loader/bpf/event_stream.hpp"
#include "loader/cli/commands.hpp"
#include "loader/cli/event_view.hpp"
#include "loader/engine/engine.hpp"
#include "loader/engine/lock.hpp"
#include "loader/engine/status.hpp"
#include "loader/netlink/links.hpp"
#include "loader/state/nearest.hpp"
#include "loader/state/value_parsers.hpp"
#include "maps/names.hpp"

namespace sheath::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollFor{200};
constexpr std::chrono::seconds kRenameAfter{2};  // peers and devices come and go

std::atomic<bool> stopped = false;

// Without SA_RESTART, so that a wait ends.
void stop_at_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { stopped = true; };
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
}

template <typename Infos>
Error no_such(std::string_view option, const std::string& value, const Infos& infos) {
  std::vector<std::string_view> names;
  std::string all;
  for (const auto& info : infos) {
    names.push_back(info.name);
    all += (all.empty() ? "" : ", ") + std::string(info.name);
  }
  const auto nearest = state::nearest_hint(value, names);
  return Error::misuse(std::string(option) + ": there is no \"" + value + "\"")
      .hint(nearest.empty() ? "it is one of: " + all : nearest);
}

const std::string* option_of(const Invocation& invocation, std::string_view name) {
  const auto found = invocation.options.find(name);
  return found == invocation.options.end() ? nullptr : &found->second;
}

Result<EventFilter> read_filter(const Invocation& invocation) {
  EventFilter filter;
  filter.drops_only = invocation.has("drops");
  if (const auto* name = option_of(invocation, "program")) {
    filter.program = maps::find_direction(*name);
    if (!filter.program) return fail(no_such("--program", *name, maps::directions()));
  }
  if (const auto* name = option_of(invocation, "reason")) {
    for (const auto& info : maps::reasons()) {
      if (info.name == *name) filter.reason = info.reason;
    }
    if (!filter.reason) return fail(no_such("--reason", *name, maps::reasons()));
  }
  if (const auto* name = option_of(invocation, "peer")) filter.peer = *name;
  if (const auto* text = option_of(invocation, "address")) {
    const auto range = Cidr::parse(*text);
    const auto address = IpAddress::parse(*text);
    if (!range && !address) return fail(Error::misuse("--address: \"" + *text + "\" is neither an address nor a CIDR"));
    filter.address = range ? *range : Cidr::host(*address);
  }
  return filter;
}

Result<std::optional<Clock::time_point>> read_end(const Invocation& invocation) {
  const auto* text = option_of(invocation, "for");
  if (text == nullptr) return std::nullopt;
  const auto time = state::parse_duration(*text);
  if (!time) return fail(Error(time.error()).context("--for"));
  return Clock::now() + *time;
}

EventNames names_of(const state::Config& config) {
  EventNames names;
  if (const auto status = engine::observe_status(config)) {
    for (const auto& peer : status->peers) names.peers[peer.node_id] = peer.name;
  }
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  if (!socket) return names;
  if (const auto links = netlink::list_links(*socket)) {
    for (const auto& link : *links) names.devices[link.ifindex] = link.name;
  }
  return names;
}

// As long as it lives, the programs report everything of the cluster.
class Tracing {
 public:
  static Result<Tracing> start(const state::Config& config) {
    auto lock = engine::ProcessLock::acquire(config.paths.run, engine::kTraceLock);
    if (!lock) return fail(std::move(lock.error()));
    Tracing tracing(config, std::move(*lock));
    const auto applied = engine::apply(config, {});
    if (!applied) return fail(Error(applied.error()).context("--trace"));
    return tracing;
  }

  // Nothing is left of it. Where that fails the next apply does it.
  Result<> stop() {
    lock_.reset();
    const auto applied = engine::apply(config_, {});
    if (!applied) return fail(Error(applied.error()).context("turn tracing off"));
    return {};
  }

 private:
  Tracing(const state::Config& config, engine::ProcessLock lock) : config_(config), lock_(std::move(lock)) {}

  const state::Config& config_;
  std::optional<engine::ProcessLock> lock_;
};

// The programs' clock is CLOCK_MONOTONIC.
double epoch_of(std::uint64_t time_ns) {
  const auto age = Clock::now().time_since_epoch() - std::chrono::nanoseconds(static_cast<std::int64_t>(time_ns));
  const auto then = std::chrono::system_clock::now() - age;
  return std::chrono::duration<double>(then.time_since_epoch()).count();
}

Result<> show_events(const Invocation& invocation, const state::Config& config, bpf::EventStream& stream,
                     const EventFilter& filter, std::optional<Clock::time_point> end) {
  auto names = names_of(config);
  auto renamed = Clock::now();
  Result<> written;
  const auto show = [&](const sheath_event& event) {
    if (!written || !filter.fits(event, names.peer(event.node_id))) return;
    const auto time = epoch_of(event.time_ns);
    written = write_stdout(invocation.json() ? event_json(event, names, time)
                                             : event_line(event, names, time, invocation.style));
  };
  while (!stopped && written && (!end || Clock::now() < *end)) {
    if (Clock::now() - renamed > kRenameAfter) {
      names = names_of(config);
      renamed = Clock::now();
    }
    if (auto waited = stream.wait(kPollFor, show); !waited) return waited;
  }
  return written;
}

Result<Outcome> run_monitor(const Invocation& invocation) {
  const auto filter = read_filter(invocation);
  if (!filter) return fail(filter.error());
  const auto end = read_end(invocation);
  if (!end) return fail(end.error());
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  const auto& config = loaded->config;
  const auto lock = engine::ProcessLock::acquire(config.paths.run, engine::kMonitorLock);
  if (!lock) return fail(lock.error());
  auto stream = bpf::EventStream::open(config.paths.bpffs);
  if (!stream) return fail(std::move(stream.error()));
  if (!*stream)
    return fail(Error("nothing runs on this node: there is no map events below " + config.paths.bpffs.string())
                    .hint("`sheath apply` makes it"));
  stop_at_signals();
  if (!invocation.has("trace")) {
    if (auto shown = show_events(invocation, config, **stream, *filter, *end); !shown) return fail(shown.error());
    return Outcome{};
  }
  auto tracing = Tracing::start(config);
  if (!tracing) return fail(std::move(tracing.error()));
  const auto shown = show_events(invocation, config, **stream, *filter, *end);
  if (auto ended = tracing->stop(); !ended) return fail(std::move(ended.error()));
  if (!shown) return fail(shown.error());
  return Outcome{};
}

}  // namespace

Command monitor_command() {
  return {.name = "monitor",
          .summary = "what the programs drop, live; with --trace also what they encrypt and decrypt",
          .arguments = "",
          .details =
              "One line a packet, until Ctrl-C: verdict, reason, flow, program, device, peer. Reports of a flood get\n"
              "lost; `sheath status` counts them all. --trace makes the programs report every packet of the cluster\n"
              "as long as the command runs, which costs them time; to turn it on and off it does what `sheath apply`\n"
              "does. With -o json each line is an object.",
          .options = {{"trace", "", "also packets that were not dropped"},
                      {"drops", "", "only packets that were dropped"},
                      {"program", "NAME", "only of this program, such as uplink_egress"},
                      {"reason", "REASON", "only with this reason, in strict mode or as it is"},
                      {"peer", "NAME", "only from or to this peer"},
                      {"address", "ADDRESS|CIDR", "only from or to this"},
                      {"for", "DURATION", "end by itself after that time"}},
          .examples = {{"sheath monitor", "is anything dropped?"},
                       {"sheath monitor --trace --peer kind-worker2", "what goes to and comes from a peer"},
                       {"sheath monitor --reason no_key -o json --for 1m", "for scripts"}},
          .run = run_monitor};
}

}  // namespace sheath::cli
