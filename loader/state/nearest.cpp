// SPDX-License-Identifier: Apache-2.0
#include "loader/state/nearest.hpp"

#include <algorithm>
#include <cctype>
#include <vector>

namespace sheath::state {
namespace {

// Longer input is no misspelt name; also bounds the work.
constexpr std::size_t kMaxName = 64;

std::string folded(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != '-' && c != '_') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

// Optimal string alignment distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, change});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

// A third of the letters may be wrong, two at least where the name is long enough to be recognised.
std::size_t tolerance(std::size_t length) {
  return length < 4 ? 1 : std::max<std::size_t>(2, length / 3);
}

}  // namespace

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> candidates) {
  if (name.size() > kMaxName) return {};
  const auto wanted = folded(name);
  std::string_view best;
  std::size_t best_distance = tolerance(wanted.size()) + 1;
  for (const auto candidate : candidates) {
    const auto found = distance(wanted, folded(candidate));
    if (found < best_distance) {
      best = candidate;
      best_distance = found;
    }
  }
  return best;
}

std::string nearest_hint(std::string_view name, std::span<const std::string_view> candidates) {
  const auto nearest = nearest_name(name, candidates);
  return nearest.empty() ? "" : "did you mean \"" + std::string(nearest) + "\"?";
}

}  // namespace sheath::state
