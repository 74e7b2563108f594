// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/plan_view.hpp"

#include <nlohmann/json.hpp>

#include "loader/cli/output.hpp"
#include "loader/plan/describe.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string summary(const engine::Report& report, bool dry_run) {
  if (report.plan.empty() && report.failures.empty()) return "nothing to do\n";
  if (dry_run) return counted(report.plan.size(), "step") + " to do, none done\n";
  return counted(report.steps_done, "step") + " done\n";
}

std::string steps_text(const engine::Report& report) {
  std::string out;
  const auto width = std::to_string(report.plan.size()).size();
  for (std::size_t i = 0; i < report.plan.size(); ++i) {
    const auto number = std::to_string(i);
    out += std::string(width - number.size() + 2, ' ') + number + "  " + describe(report.plan[i], report.names).text;
    out += '\n';
  }
  return out;
}

}  // namespace

std::string report_text(const engine::Report& report, ReportView view) {
  if (!view.json) return steps_text(report) + summary(report, view.dry_run);
  auto failures = Json::array();
  for (const auto& [peer, error] : report.failures) failures.push_back({{"peer", peer}, {"error", error.what()}});
  return json_text({{"dry_run", view.dry_run},
                    {"steps", Json::parse(plan::plan_json(report.plan, report.names))},
                    {"steps_done", report.steps_done},
                    {"waiting_for_key", report.waiting_for_key},
                    {"waits", report.waits},
                    {"settled", report.settled},
                    {"failures", failures},
                    {"warnings", report.warnings}});
}

}  // namespace sheath::cli
