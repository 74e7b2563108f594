// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "loader/engine/executor.hpp"
#include "loader/plan/concern.hpp"
#include "loader/plan/describe.hpp"

namespace sheath::engine {
namespace {

Result<std::optional<std::size_t>> number_from(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  std::size_t value = 0;
  const char* end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, value);
  if (error != std::errc{} || stopped != end) {
    return fail(Error::misuse(std::string(variable) + ": \"" + text + "\" is not the number of a step"));
  }
  return value;
}

// More peers than these do not fail for a reason of their own.
constexpr std::size_t kMaxFailedPeers = 16;

void cut(const Cuts& cuts, std::size_t step) {
  if (cuts.kill_at == step) std::raise(SIGKILL);
  if (cuts.slow_at == step) std::this_thread::sleep_for(kSlowness);
}

std::string place_of(std::size_t index, const plan::Plan& plan, const plan::Names& names) {
  return "step " + std::to_string(index + 1) + " of " + std::to_string(plan.size()) + ", " +
         plan::describe(plan[index], names).text;
}

}  // namespace

Result<Cuts> cuts_from_environment() {
  const auto kill_at = number_from("SHEATH_KILL_AT");
  if (!kill_at) return fail(kill_at.error());
  const auto fail_at = number_from("SHEATH_FAIL_AT");
  if (!fail_at) return fail(fail_at.error());
  const auto slow_at = number_from("SHEATH_SLOW_AT");
  if (!slow_at) return fail(slow_at.error());
  return Cuts{*kill_at, *fail_at, *slow_at};
}

// Takes the peers that failed out of steps about several. What is recorded is taken for used, and a state that is not
// there was not; and a probe that no policy takes comes back as an ICMP error.
void Executor::spare(plan::Step& step, const plan::Names& names) const {
  if (auto* record = std::get_if<plan::RecordPairs>(&step)) {
    std::erase_if(record->sessions, [&](const auto& entry) { return has_failed(entry.first); });
  } else if (auto* send = std::get_if<plan::SendProbes>(&step)) {
    std::erase_if(send->probes, [&](const auto& probe) { return has_failed(plan::name_of(probe.node_id, names)); });
  }
}

bool Executor::has_failed(const std::optional<std::string>& peer) const {
  return peer && std::ranges::find(failures_, *peer, &PeerFailure::peer) != failures_.end();
}

template <typename Step>
Executor::Batch Executor::do_all(std::span<const plan::Step> steps) {
  std::vector<Step> all;
  for (const auto& each : steps) {
    const auto* step = std::get_if<Step>(&each);
    if (step == nullptr) break;
    all.push_back(*step);
  }
  return {all.size(), all.size() > 1 && set_together(all)};
}

Executor::Batch Executor::do_together(std::span<const plan::Step> steps) {
  if (std::holds_alternative<plan::SetTunnelPeer>(steps.front())) return do_all<plan::SetTunnelPeer>(steps);
  if (std::holds_alternative<plan::SetPeer>(steps.front())) return do_all<plan::SetPeer>(steps);
  return {1, false};
}

Result<bool> Executor::do_alone(plan::Step& step, const plan::Names& names, bool is_to_fail,
                                const std::function<std::string()>& place) {
  const auto peer = plan::peer_of(step, names);
  if (has_failed(peer)) return false;
  if (!failures_.empty()) spare(step, names);
  auto result = is_to_fail ? fail("made to fail by SHEATH_FAIL_AT") : std::visit(*this, step);
  if (result) return true;
  auto error = std::move(result.error()).context(place());
  if (!peer || failures_.size() == kMaxFailedPeers) return fail(std::move(error));
  failures_.push_back({*peer, std::move(error)});
  return false;
}

Result<> Executor::run(plan::Plan& plan, const plan::Names& names, const Cuts& cuts, std::size_t& done) {
  plan::Plan finished;
  finished.reserve(plan.size());
  failures_.clear();
  const std::size_t before = done;
  std::size_t alone_until = cuts == Cuts{} ? 0 : plan.size();
  const auto take = [&](std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) finished.push_back(std::move(plan[i]));
    done += count;
  };
  for (std::size_t i = 0; i < plan.size();) {
    if (failures_.empty() && i >= alone_until) {
      const auto batch = do_together(std::span(plan).subspan(i));
      if (batch.done) {
        take(i, batch.size);
        i += batch.size;
        continue;
      }
      alone_until = i + batch.size;
    }
    cut(cuts, before + i);
    const auto place = [&] { return place_of(i, plan, names); };
    const auto was_done = do_alone(plan[i], names, cuts.fail_at == before + i, place);
    if (!was_done) return fail(was_done.error());
    if (*was_done) take(i, 1);
    ++i;
  }
  cut(cuts, before + plan.size());
  if (cuts.fail_at == before + plan.size()) return fail("made to fail by SHEATH_FAIL_AT");
  plan = std::move(finished);
  return {};
}

}  // namespace sheath::engine
