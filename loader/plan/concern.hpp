// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "loader/plan/model.hpp"
#include "loader/plan/step.hpp"

namespace sheath::plan {

// The peer that a step is about, by name, or by its node ID or public key where `names` has none. nullopt: it is about
// this node, or about several. Where such a step fails, the peer's later steps must not be done (a peer without a
// tunnel would become ready, say), and all others may: no step of one peer counts on another's.
std::optional<std::string> peer_of(const Step& step, const Names& names);

// "node 12" where `names` has none.
std::string name_of(std::uint16_t node_id, const Names& names);

}  // namespace sheath::plan
