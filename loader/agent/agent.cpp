// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/agent.hpp"

#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <set>
#include <utility>

#include "loader/agent/configuration.hpp"
#include "loader/agent/confine.hpp"
#include "loader/agent/http.hpp"
#include "loader/agent/log.hpp"
#include "loader/agent/loop.hpp"
#include "loader/agent/metrics.hpp"
#include "loader/agent/notify.hpp"
#include "loader/agent/pace.hpp"
#include "loader/agent/report.hpp"
#include "loader/agent/said.hpp"
#include "loader/base/file.hpp"
#include "loader/engine/engine.hpp"
#include "loader/engine/lock.hpp"
#include "loader/netlink/events.hpp"
#include "loader/plan/describe.hpp"

namespace sheath::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kTextfileEvery{15};
constexpr std::size_t kLoggedSteps = 20;

// What this process has used.
std::chrono::nanoseconds processor_time() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

std::int64_t epoch_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::chrono::milliseconds until(Pace::Time when) {
  return std::chrono::ceil<std::chrono::milliseconds>(when - Pace::Clock::now());
}

std::string counted(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

// What a path stands for: another one when a folder is made anew, or a link leads elsewhere.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const Identity&) const = default;
};

std::optional<Identity> identity_of(const fs::path& path) {
  struct stat found{};
  if (stat(path.c_str(), &found) != 0) return std::nullopt;
  return Identity{found.st_dev, found.st_ino};
}

class Agent {
 public:
  Agent(const state::ConfigSources& sources, state::LoadedConfig loaded, engine::ProcessLock lock,
        std::unique_ptr<state::NodeSource> nodes, netlink::Events events, Loop loop)
      : configuration_(sources, std::move(loaded)),
        lock_(std::move(lock)),
        nodes_(std::move(nodes)),
        events_(std::move(events)),
        loop_(std::move(loop)),
        pace_(config().agent.resync, Pace::Clock::now()) {
    report_.pid = getpid();
    report_.version = SHEATH_VERSION;
    report_.started = epoch_seconds();
  }

  Result<> run() {
    if (auto done = listen(); !done) return done;
    if (auto done = confine(); !done) return done;
    round_timer_ = loop_.timer([this] { round(); });
    watchdog_timer_ = loop_.timer([this] { feed_watchdog(); });
    textfile_timer_ = loop_.timer([this] { write_textfile(); });
    log(Level::kNotice, "sheath " + report_.version + " keeps node " + config().node_name);
    round();
    notify("READY=1");
    feed_watchdog();
    write_textfile();
    loop_.run();
    notify("STOPPING=1");
    log(Level::kNotice, "ends; encryption stays as it is");
    return {};
  }

 private:
  const state::Config& config() const { return configuration_.config(); }

  Result<> listen() {
    for (const int number : {SIGTERM, SIGINT}) {
      if (auto done = loop_.on_signal(number, [this] { loop_.stop(); }); !done) return done;
    }
    if (auto done = loop_.on_signal(SIGHUP, [this] { ask_for_reload(); }); !done) return done;
    for (const int fd : events_.descriptors()) {
      const auto readable = [this, fd] {
        if (events_.drain(fd)) changed();
      };
      if (auto done = loop_.on_readable(fd, readable); !done) return done;
    }
    const auto socket = config().paths.run / kSocketName;
    if (auto done = loop_.serve_unix(socket, [this](std::string_view line) { return control(line); }); !done)
      return done;
    if (config().metrics.listen.empty()) return {};
    const auto http = [this](std::string_view request) { return answer_http(request, [this] { return metrics(); }); };
    if (auto done = loop_.serve_tcp(config().metrics.listen, http); !done) {
      lasting_warnings_.push_back("metrics.listen: " + done.error().what() + ": nobody is answered there");
    }
    return {};
  }

  // --- when ---

  void changed() {
    everything_changed_ = true;
    pace_.changed(Pace::Clock::now());
    schedule();
  }

  // An entry of a folder that is watched. Of those that are there for one file's sake other entries are nobody's
  // business; one that begins with two dots is what a mounted volume's files lead through.
  void changed(const fs::path& folder, std::string_view entry) {
    if (entry.empty() || entry.starts_with("..") || single_files().contains(folder / entry)) return changed();
    if (folder != config().nodes.path) return;
    changed_files_.insert(std::string(entry));
    pace_.changed(Pace::Clock::now());
    schedule();
  }

  // Of the folder of node objects, when nothing else is new; none, when some peers are waited for. nullopt: all has to
  // be looked at, as it has each `resync` however much changes in between. Forgets them.
  std::optional<std::set<std::string>> take_changed_files() {
    auto files = std::exchange(changed_files_, {});
    const bool is_due = Pace::Clock::now() - last_look_at_all_ >= config().agent.resync;
    const bool is_few = !files.empty() || (memory_ && !memory_->pending.empty());
    if (std::exchange(everything_changed_, false) || !is_few || is_due) return std::nullopt;
    return files;
  }

  void schedule() { round_timer_.set(until(pace_.due())); }

  void feed_watchdog() {
    const auto interval = watchdog_interval();
    if (!interval) return;
    notify("WATCHDOG=1");
    watchdog_timer_.set(*interval);
  }

  // --- what is watched ---

  // Beside the node objects.
  std::set<fs::path> single_files() const {
    std::set<fs::path> out;
    if (config().encryption == state::Encryption::kIpsec) out.insert(config().ipsec.key_file);
    if (!configuration_.file().empty()) out.insert(fs::absolute(configuration_.file()));
    return out;
  }

  std::set<fs::path> folders() const {
    std::set<fs::path> out{config().nodes.path};
    for (const auto& file : single_files()) out.insert(file.parent_path());
    return out;
  }

  // A folder that is not there, or was made anew, is watched when the next round finds it.
  void rewatch() {
    const auto wanted = folders();
    std::erase_if(watches_, [&](const auto& entry) { return !wanted.contains(entry.first); });
    for (const auto& folder : wanted) {
      const auto identity = identity_of(folder);
      auto& watched = watches_[folder];
      if (watched.watch && watched.identity == identity) continue;
      watched = {};
      everything_changed_ = true;  // what happened there meanwhile nobody has seen
      if (!identity) continue;
      auto watch = loop_.watch(folder, [this, folder](std::string_view entry) { changed(folder, entry); });
      if (watch) watched = {std::move(*watch), identity};
    }
  }

  // --- a round ---

  void ask_for_reload() {
    configuration_.ask_for_reload();
    changed();
  }

  void look_at_configuration() {
    if (!configuration_.look()) return;
    everything_changed_ = true;
    report_.config_error = configuration_.trouble();
    pace_.set_resync(config().agent.resync);
  }

  void round() {
    look_at_configuration();
    rewatch();
    const auto begin = Pace::Clock::now();
    const auto cpu_before = processor_time();
    const engine::Kept kept{*nodes_, good_, digests_, memory_};
    const auto done =
        engine::apply(config(), {.dry_run = false, .wait = {}, .kept = &kept, .changed_files = take_changed_files()});
    const auto end = Pace::Clock::now();
    report_.last_milliseconds =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(end - begin).count());
    report_.last_round = epoch_seconds();
    report_.rounds += 1;
    report_.refused = good_.refused();
    done ? note_success(*done) : note_failure(done.error());
    said_refused_.update(Level::kError, refusals());
    pace_.done(end, outcome(done.has_value()), processor_time() - cpu_before);
    // A round about all nodes needs several times what is kept of it.
    if (!done || !done->of_few) malloc_trim(0);
    notify("STATUS=" + summary());
    schedule();
  }

  Pace::Outcome outcome(bool succeeded) const {
    if (!succeeded || !report_.failed_peers.empty()) return Pace::Outcome::kFailed;
    return report_.settled ? Pace::Outcome::kSettled : Pace::Outcome::kWaiting;
  }

  void note_success(const engine::Report& done) {
    if (!report_.error.empty()) log(Level::kNotice, "a round succeeded again");
    report_.error.clear();
    report_.hint.clear();
    report_.last_success = report_.last_round;
    report_.steps += done.steps_done;
    report_.settled = done.settled;
    report_.waiting_for_key = done.waiting_for_key;
    report_.waits = done.waits;
    log_steps(done);
    note_peers(done);
    report_.small_rounds += done.of_few ? 1 : 0;
    if (done.of_few) return;
    last_look_at_all_ = Pace::Clock::now();
    report_.warnings = lasting_warnings_;
    std::ranges::copy(done.warnings, std::back_inserter(report_.warnings));
    said_warnings_.update(Level::kWarning, report_.warnings);
    said_waits_.update(Level::kInfo, done.waits);
  }

  // One that fails does not stop the others.
  void note_peers(const engine::Report& done) {
    report_.failed_peers.clear();
    std::vector<std::string> lines;
    for (const auto& [peer, error] : done.failures) {
      report_.failed_peers.push_back({peer, error.what()});
      lines.push_back(peer + ": " + error.what());
    }
    if (!lines.empty()) report_.failures += 1;
    said_peers_.update(Level::kError, lines);
  }

  void note_failure(const Error& error) {
    if (report_.error != error.what()) {
      log(Level::kError, error.what() + (error.hint().empty() ? "" : " (" + error.hint() + ")"));
    }
    report_.error = error.what();
    report_.hint = error.hint();
    report_.failures += 1;
    report_.settled = false;
    if (report_.last_success == 0) close();
  }

  // After a boot nothing is there that would stop a pod.
  void close() {
    const auto closed = engine::close_if_bare(config());
    std::vector<std::string> lines;
    if (!closed) lines.push_back("the node could not be closed: " + closed.error().what());
    said_closing_.update(Level::kError, lines);
    if (closed && *closed) {
      log(Level::kWarning, "closed: pods' packets to and from other nodes are dropped until a round succeeds");
    }
  }

  static void log_steps(const engine::Report& done) {
    std::size_t logged = 0;
    std::size_t left_out = 0;
    for (const auto& step : done.plan) {
      // While peers are waited for there is one a round.
      if (std::holds_alternative<plan::SendProbes>(step)) continue;
      if (logged == kLoggedSteps) {
        left_out += 1;
        continue;
      }
      log(Level::kInfo, plan::describe(step, done.names).text);
      logged += 1;
    }
    if (left_out > 0) log(Level::kInfo, "and " + counted(left_out, "step") + " more");
  }

  std::vector<std::string> refusals() const {
    AgentReport only;
    only.refused = report_.refused;
    return agent_problems(only);
  }

  std::string summary() const {
    if (!report_.error.empty()) return report_.error;
    std::string out = report_.settled ? "all done" : "waits for peers";
    if (!report_.failed_peers.empty()) out += ", " + counted(report_.failed_peers.size(), "peer") + " failed";
    if (!report_.refused.empty()) out += ", " + counted(report_.refused.size(), "node object") + " not taken";
    return out;
  }

  // --- who asks ---

  std::optional<std::string> control(std::string_view so_far) {
    const auto end = so_far.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const auto request = parse_request(so_far.substr(0, end));
    if (!request) return error_json(request.error().what());
    if (*request == Request::kStatus) return report_json(current_report());
    *request == Request::kReload ? ask_for_reload() : changed();
    return "{\"ok\":true}\n";
  }

  AgentReport current_report() const {
    auto report = report_;
    report.next_milliseconds = std::max<std::int64_t>(until(pace_.due()).count(), 0);
    return report;
  }

  std::string metrics() {
    auto input = observe_metrics(config());
    if (!input) {
      log(Level::kError, "metrics: " + input.error().what());
      input.emplace();
    }
    input->agent = current_report();
    return metrics_text(*input);
  }

  void write_textfile() {
    textfile_timer_.set(kTextfileEvery);
    if (config().metrics.textfile.empty()) return;
    std::vector<std::string> lines;
    if (auto written = write_file_atomically(config().metrics.textfile, metrics(), 0644); !written)
      lines.push_back("metrics.textfile: " + written.error().what());
    said_textfile_.update(Level::kError, lines);
  }

  struct Watched {
    Loop::Watch watch;
    std::optional<Identity> identity;
  };

  Configuration configuration_;
  engine::ProcessLock lock_;
  std::unique_ptr<state::NodeSource> nodes_;
  state::GoodNodes good_;
  engine::DigestCache digests_;
  std::optional<engine::Memory> memory_;
  std::set<std::string> changed_files_;
  bool everything_changed_ = false;
  Pace::Time last_look_at_all_;
  netlink::Events events_;
  Loop loop_;
  // Behind the loop: they have to go first.
  Loop::Timer round_timer_, watchdog_timer_, textfile_timer_;
  std::map<fs::path, Watched> watches_;
  Pace pace_;
  AgentReport report_;
  std::vector<std::string> lasting_warnings_;
  Said said_warnings_, said_waits_, said_refused_, said_peers_, said_textfile_, said_closing_;
};

}  // namespace

Result<> run_agent(const state::ConfigSources& sources) {
  auto loaded = state::load_config(sources);
  if (!loaded) return fail(std::move(loaded.error()));
  if (auto supported = state::check_supported(*loaded); !supported) return supported;
  auto nodes = state::make_node_source(loaded->config);
  if (!nodes) return fail(std::move(nodes.error()));
  auto lock = engine::ProcessLock::acquire(loaded->config.paths.run, engine::kAgentLock);
  if (!lock) return fail(std::move(lock.error()));
  auto events = netlink::Events::open();
  if (!events) return fail(std::move(events.error()));
  auto loop = Loop::make();
  if (!loop) return fail(std::move(loop.error()));
  return Agent(sources, std::move(*loaded), std::move(*lock), std::move(*nodes), std::move(*events), std::move(*loop))
      .run();
}

}  // namespace sheath::agent
