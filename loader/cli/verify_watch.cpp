// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/verify_watch.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>

#include "loader/cli/cluster_input.hpp"
#include "loader/cli/event_view.hpp"
#include "loader/cli/output.hpp"
#include "loader/state/value_parsers.hpp"
#include "loader/verify/watch.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;
using verify::Leak;
using verify::WatchReport;

std::atomic<bool> interrupted = false;

void on_signal(int) {
  interrupted = true;
}

// Without SA_RESTART, so that a wait ends.
void catch_signals() {
  struct sigaction action{};
  action.sa_handler = on_signal;
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
}

const char* kind_of(const Leak& leak) {
  return leak.masqueraded ? "masqueraded" : "plaintext";
}

std::string leak_line(const Leak& leak, const Style& style) {
  return (leak.masqueraded ? kind_of(leak) : style.bad(kind_of(leak))) + " " + (leak.leaving ? "leaving" : "arriving") +
         " on " + leak.device + ": " + protocol_text(leak.protocol) + ", " + end_text(leak.source, leak.source_port) +
         " to " + end_text(leak.destination, leak.destination_port) + "\n";
}

Json leak_json(const Leak& leak) {
  return {{"device", leak.device},
          {"direction", leak.leaving ? "leaving" : "arriving"},
          {"source", leak.source.text()},
          {"destination", leak.destination.text()},
          {"protocol", leak.protocol},
          {"source_port", leak.source_port},
          {"destination_port", leak.destination_port}};
}

std::string line_json(const Json& json) {
  return json.dump() + "\n";
}

std::string first_seen_json(const Leak& leak) {
  const auto now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  Json line{{"event", kind_of(leak)}, {"time", now}};
  line.update(leak_json(leak));
  return line_json(line);
}

std::string end_json(const WatchReport& report) {
  Json leaks = Json::array();
  for (const auto& [leak, packets] : report.leaks) {
    auto entry = leak_json(leak);
    entry["masqueraded"] = leak.masqueraded;
    entry["packets"] = packets;
    leaks.push_back(std::move(entry));
  }
  return line_json({{"event", "end"},
                    {"devices", report.devices},
                    {"packets", report.counters.packets},
                    {"plaintext", report.counters.plaintext},
                    {"masqueraded", report.counters.masqueraded},
                    {"leaks", leaks}});
}

std::string masqueraded_text(std::uint64_t packets) {
  if (packets == 0) return "";
  return "masqueraded: " + counted(packets, "packet") +
         " left in plaintext under this node's address, a pod's as a rule: nodeEncryption takes them too\n";
}

std::string plaintext_text(const WatchReport& report, const Style& style) {
  const auto watched = counted(report.counters.packets, "packet") + " watched on " + joined(report.devices) + "\n";
  if (report.counters.plaintext == 0) return style.good("no plaintext") + ": " + watched;
  return style.bad("plaintext") + ": " + std::to_string(report.counters.plaintext) + " of " + watched;
}

std::string final_text(const WatchReport& report, const Style& style) {
  Table table({{"WHAT"},
               {"DEVICE"},
               {"DIRECTION"},
               {"PROTOCOL"},
               {"SOURCE"},
               {"DESTINATION"},
               {"PACKETS", Table::Align::kRight}});
  for (const auto& [leak, packets] : report.leaks) {
    table.add({kind_of(leak), leak.device, leak.leaving ? "leaving" : "arriving", protocol_text(leak.protocol),
               end_text(leak.source, leak.source_port), end_text(leak.destination, leak.destination_port),
               std::to_string(packets)});
  }
  const auto found = report.leaks.empty() ? "" : "\n" + table.text() + "\n";
  return found + masqueraded_text(report.counters.masqueraded) + plaintext_text(report, style);
}

Result<std::optional<std::chrono::seconds>> read_time(const Invocation& invocation) {
  const auto given = invocation.options.find("for");
  if (given == invocation.options.end()) return std::nullopt;
  const auto time = state::parse_duration(given->second);
  if (!time) return fail(Error(time.error()).context("--for"));
  return *time;
}

}  // namespace

Result<Outcome> run_verify_watch(const Invocation& invocation) {
  if (!invocation.arguments.empty() || invocation.has("timeout")) {
    return fail(Error::misuse("--watch looks at all traffic: it takes no peer and no --timeout"));
  }
  const auto time = read_time(invocation);
  if (!time) return fail(time.error());
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  const auto cluster = read_cluster(loaded->config);
  if (!cluster) return fail(cluster.error());

  catch_signals();
  const auto show = [&](const Leak& leak) {
    return write_stdout(invocation.json() ? first_seen_json(leak) : leak_line(leak, invocation.style)).has_value();
  };
  const auto report = verify::watch(loaded->config, cluster->nodes, interrupted, *time, show);
  if (!report) return fail(report.error());
  return Outcome{invocation.json() ? end_json(*report) : final_text(*report, invocation.style),
                 report->counters.plaintext == 0 ? kDone : kDegraded};
}

}  // namespace sheath::cli
