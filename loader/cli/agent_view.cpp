// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/agent_view.hpp"

#include <ctime>

#include "loader/cli/output.hpp"

namespace sheath::cli {
namespace {

using State = engine::ProcessLock::State;

std::string process(int pid) {
  return pid == 0 ? "a process" : "process " + std::to_string(pid);
}

std::string progress(const agent::AgentReport& report) {
  if (!report.error.empty()) return "failed, tries again in " + std::to_string(report.next_milliseconds / 1000) + "s";
  if (report.settled) return "all done";
  if (!report.waiting_for_key.empty()) return "no key yet from " + joined(report.waiting_for_key);
  return report.waits.empty() ? "waits for peers" : joined(report.waits);
}

const char* name_of(State state) {
  switch (state) {
    case State::kNone:
      return "none";
    case State::kRuns:
      return "running";
    case State::kDied:
      return "died";
  }
  return "";
}

}  // namespace

AgentView look_at_agent(const state::Config& config) {
  AgentView view{engine::ProcessLock::look(config.paths.run, engine::kAgentLock), std::nullopt, {}};
  if (view.holder.state != State::kRuns) return view;
  const auto answer = agent::ask_agent(config.paths.run, agent::Request::kStatus);
  auto report = answer ? agent::parse_report(*answer) : Result<agent::AgentReport>(fail(answer.error()));
  if (report) {
    view.report = std::move(*report);
  } else {
    view.silence = report.error().what();
  }
  return view;
}

std::string agent_text(const AgentView& agent) {
  switch (agent.holder.state) {
    case State::kNone:
      return "none runs: this is from kernel and pins";
    case State::kDied:
      return "died (it was " + process(agent.holder.pid) + "): this is from kernel and pins";
    case State::kRuns:
      break;
  }
  if (!agent.report) return process(agent.holder.pid) + ", but: " + agent.silence;
  return process(agent.holder.pid) + ", looked " +
         age_text(agent.report->last_round, static_cast<std::int64_t>(std::time(nullptr))) + ": " +
         progress(*agent.report);
}

nlohmann::ordered_json agent_json(const AgentView& agent) {
  using Json = nlohmann::ordered_json;
  return {{"state", name_of(agent.holder.state)},
          {"pid", agent.holder.pid == 0 ? Json() : Json(agent.holder.pid)},
          {"report", agent.report ? Json::parse(agent::report_json(*agent.report)) : Json()}};
}

}  // namespace sheath::cli
