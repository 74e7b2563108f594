// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "loader/engine/executor.hpp"
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

Result<> cut(const Cuts& cuts, std::size_t step) {
  if (cuts.kill_at == step) std::raise(SIGKILL);
  if (cuts.slow_at == step) std::this_thread::sleep_for(kSlowness);
  if (cuts.fail_at == step) return fail("cut before step " + std::to_string(step) + " by SHEATH_FAIL_AT");
  return {};
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

Result<> Executor::run(const plan::Plan& plan, const plan::Names& names, const Cuts& cuts, std::size_t& done) {
  const std::size_t before = done;
  for (const auto& step : plan) {
    if (auto go_on = cut(cuts, done); !go_on) return go_on;
    if (auto result = std::visit(*this, step); !result) {
      return fail(std::move(result.error())
                      .context("step " + std::to_string(done - before + 1) + " of " + std::to_string(plan.size()) +
                               ", " + plan::describe(step, names).text));
    }
    ++done;
  }
  return cut(cuts, done);
}

}  // namespace sheath::engine
