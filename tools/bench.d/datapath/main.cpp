// SPDX-License-Identifier: Apache-2.0
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cxxopts.hpp>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "maps/names.hpp"
#include "selftests/harness/devices.hpp"
#include "tools/bench.d/datapath/measure.hpp"
#include "tools/bench.d/datapath/scenes.hpp"

// Nanoseconds and instructions of each program, on each way of a packet, beside a floor. Prints one JSON document: a
// list of measurements, each with all its samples; `tools/bench` makes tables of it.
namespace sheath::bench {
namespace {

struct Options {
  std::uint32_t runs = 15;
  std::uint32_t repeat = 100'000;
  std::uint32_t cold_runs = 45;
  std::vector<std::uint32_t> prefixes;
  std::string pattern;
  bool cold = true;
};

// One case with what stands beside it in the same round.
struct Measured {
  Case what;
  Case nothing;
  Case floor;
  const Meter* meter = nullptr;
  bool cold = false;
  std::vector<double> net = {};  // without what the empty program takes
  std::vector<double> floor_net = {};
  std::vector<double> empty = {};
};

struct Cell {
  Family family;
  std::uint32_t prefixes;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 != 0 ? values[half] : (values[half - 1] + values[half]) / 2;
}

nlohmann::ordered_json summary(const std::string& name, const std::string& unit, const std::vector<double>& samples) {
  const auto [min, max] = std::ranges::minmax(samples);
  return {{"name", name}, {"unit", unit},      {"min", min}, {"median", median(samples)},
          {"max", max},   {"samples", samples}};
}

std::string name_of(const Measured& measured) {
  const Case& what = measured.what;
  std::string name = what.path + ", " + what.family + ", " + std::to_string(what.prefixes) + " prefixes";
  if (what.spread) name += ", spread";
  if (measured.cold) name += ", cold";
  return name;
}

void progress(const char* what, std::uint32_t done, std::uint32_t all) {
  if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r%s %u of %u ", what, done, all);
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {}

  void prepare() {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      for (const std::uint32_t prefixes : options_.prefixes) prepare_cell({family, prefixes});
    }
    if (measured_.empty()) throw std::runtime_error("no path matches \"" + options_.pattern + "\"");
  }

  // Every case once a round, so that a slow minute of the machine touches all alike.
  void run() {
    for (std::uint32_t round = 0; round < options_.runs; ++round) {
      for (Measured& each : measured_) {
        if (!each.cold) sample(each);
      }
      progress("round", round + 1, options_.runs);
    }
    for (std::uint32_t round = 0; options_.cold && round < options_.cold_runs; ++round) {
      for (Measured& each : measured_) {
        if (each.cold) sample(each);
      }
      progress("cold round", round + 1, options_.cold_runs);
    }
    if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r%30s\r", "");
  }

  nlohmann::ordered_json report() const {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Measured& each : measured_) {
      nlohmann::ordered_json json = summary(name_of(each), "ns", each.net);
      json["path"] = each.what.path;
      json["family"] = each.what.family;
      json["prefixes"] = each.what.prefixes;
      json["spread"] = each.what.spread;
      json["cold"] = each.cold;
      json["floor_ns"] = median(each.floor_net);
      json["empty_ns"] = median(each.empty);
      json["to_floor"] = ratios(each);
      list.push_back(std::move(json));
    }
    nlohmann::ordered_json sizes = nlohmann::ordered_json::array();
    for (const ProgramSize& size : sizes_) {
      sizes.push_back(
          {{"name", size.name}, {"xlated", size.xlated}, {"jited_bytes", size.jited}, {"verified", size.verified}});
    }
    return {{"measurements", std::move(list)}, {"programs", std::move(sizes)}};
  }

 private:
  void prepare_cell(Cell cell) {
    meters_.push_back(std::make_unique<Meter>(cell.family, cell.prefixes));
    std::vector<Case> cases;
    for (const bool node_encryption : {false, true}) {
      clusters_.push_back(std::make_unique<Cluster>(cell.family, cell.prefixes, node_encryption));
      for (const Path& path : paths()) {
        if (path.node_encryption != node_encryption ||
            std::string(path.name).find(options_.pattern) == std::string::npos) {
          continue;
        }
        const std::size_t before = cases.size();
        clusters_.back()->add_cases(path, cases);
        note_size(path, cases[before].program);
      }
    }
    for (const Case& each : cases) add(each, *meters_.back());
  }

  void note_size(const Path& path, int program) {
    std::string name(maps::directions()[path.direction].name);
    name += path.engine == Engine::kWireguard ? ", wireguard" : ", ipsec";
    if (path.fast_path) name += ", fast path";
    const auto known = [&](const ProgramSize& size) { return size.name == name; };
    if (std::ranges::none_of(sizes_, known)) sizes_.push_back(size_of(name, program));
  }

  void add(const Case& what, const Meter& meter) {
    Measured measured{.what = what, .nothing = meter.nothing(what), .floor = floor_for(what, meter), .meter = &meter};
    const bool extreme = what.prefixes == options_.prefixes.front() || what.prefixes == options_.prefixes.back();
    if (extreme && options_.cold && !what.spread) {
      measured_.push_back(measured);
      measured_.back().cold = true;
    }
    measured_.push_back(std::move(measured));
  }

  // The floor always has its own packet, pod to remote pod, and the spread of the case.
  static Case floor_for(const Case& what, const Meter& meter) {
    Case like = what;
    test::PacketSpec spec;
    const bool ipv4 = what.family == "ipv4";
    spec.source = ipv4 ? "10.255.0.9" : "fd00:10:ff00::9";
    spec.dest = ipv4 ? "10.0.5.9" : "fd00:10:5::9";
    spec.protocol = test::kTcp;
    like.packet = test::build(spec);
    like.ifindex = 0;
    like.plan = {.mark = 0, .offset = ipv4 ? 31U : 42U, .first = 5, .count = 1, .turn = 0};
    if (what.spread) {
      like.plan.first = 1;
      like.plan.count = what.prefixes;
    }
    return meter.floor(like);
  }

  void sample(Measured& each) const {
    const auto take = [&](const Case& what) {
      return each.cold ? each.meter->cold(what) : each.meter->warm(what, options_.repeat);
    };
    const double empty = take(each.nothing);
    each.empty.push_back(empty);
    each.floor_net.push_back(take(each.floor) - empty);
    each.net.push_back(take(each.what) - empty);
  }

  static nlohmann::ordered_json ratios(const Measured& each) {
    std::vector<double> values;
    for (std::size_t i = 0; i < each.net.size(); ++i) values.push_back(each.net[i] / std::max(each.floor_net[i], 1.0));
    const auto [min, max] = std::ranges::minmax(values);
    return {{"min", min}, {"median", median(values)}, {"max", max}};
  }

  Options options_;
  std::vector<std::unique_ptr<Meter>> meters_;
  std::vector<std::unique_ptr<Cluster>> clusters_;
  std::vector<Measured> measured_;
  std::vector<ProgramSize> sizes_;
};

Options parse(int argc, char** argv) {
  Options options;
  cxxopts::Options parser("sheath_bench_datapath", "Nanoseconds and instructions of each program, as JSON.");
  parser.add_options()("runs", "rounds, interleaved", cxxopts::value(options.runs))(
      "repeat", "packets in a measurement", cxxopts::value(options.repeat))("cold-runs", "rounds with emptied caches",
                                                                            cxxopts::value(options.cold_runs))(
      "prefixes", "sizes of the cluster, 10 to 65000", cxxopts::value(options.prefixes))(
      "k", "only the paths whose name has this in it", cxxopts::value(options.pattern))(
      "warm-only", "leave out emptied caches")("help", "this text");
  const auto parsed = parser.parse(argc, argv);
  if (parsed.count("help") != 0) {
    std::fputs(parser.help().c_str(), stdout);
    std::exit(0);
  }
  options.cold = parsed.count("warm-only") == 0;
  if (options.prefixes.empty()) options.prefixes = {10, 1000, 10'000, 65'000};
  const auto odd = [](std::uint32_t size) { return size < 10 || size > 65'000; };
  if (std::ranges::any_of(options.prefixes, odd)) throw std::invalid_argument("--prefixes: from 10 to 65000");
  if (options.runs == 0 || options.repeat < 2 || options.cold_runs == 0) {
    throw std::invalid_argument("--runs and --cold-runs begin at 1, --repeat at 2");
  }
  return options;
}

int bench(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (!test::enter_own_network()) return 1;
  test::must_run("ip link set lo up");
  libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
  Bench bench(options);
  bench.prepare();
  bench.run();
  std::puts(bench.report().dump(1).c_str());
  return 0;
}

}  // namespace
}  // namespace sheath::bench

int main(int argc, char** argv) {
  try {
    return sheath::bench::bench(argc, argv);
  } catch (const cxxopts::exceptions::exception& error) {
    std::fprintf(stderr, "sheath_bench_datapath: %s\n", error.what());
    return 2;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "sheath_bench_datapath: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sheath_bench_datapath: %s\n", error.what());
    return 1;
  }
}
