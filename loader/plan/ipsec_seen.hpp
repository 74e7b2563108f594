// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "loader/plan/ipsec_model.hpp"

namespace sheath::plan {

// The kernel's states and policies by their peer, so that what is asked about each peer is not a look at all of them.
class SeenByPeer {
 public:
  // `actual` has to outlive it.
  explicit SeenByPeer(const IpsecActual& actual) {
    for (const auto& state : actual.states) states_.push_back(&state);
    for (const auto& policy : actual.policies) policies_.push_back(&policy);
    std::ranges::stable_sort(states_, {}, id_of_state);
    std::ranges::stable_sort(policies_, {}, id_of_policy);
  }

  // In the order that `actual` has.
  std::span<const SeenState* const> states(std::uint16_t node_id) const {
    const auto found = std::ranges::equal_range(states_, node_id, {}, id_of_state);
    return {found.begin(), found.end()};
  }
  std::span<const EspPolicy* const> policies(std::uint16_t node_id) const {
    const auto found = std::ranges::equal_range(policies_, node_id, {}, id_of_policy);
    return {found.begin(), found.end()};
  }

 private:
  static std::uint16_t id_of_state(const SeenState* state) { return state->state.node_id; }
  static std::uint16_t id_of_policy(const EspPolicy* policy) { return policy->node_id; }

  std::vector<const SeenState*> states_;
  std::vector<const EspPolicy*> policies_;
};

}  // namespace sheath::plan
