// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "loader/plan/model.hpp"
#include "loader/state/node.hpp"

namespace sheath::plan {

using NodeIds = std::map<std::string, std::uint16_t>;

// A node ID for each peer, 1..65535. A peer keeps the ID under which most of its node IPs and pod CIDRs are in `maps`;
// where two claim one, the stronger claim wins, then the smaller name. The others get the lowest IDs that appear
// nowhere in `maps`, so that no entry of old can be mistaken for one of theirs.
// `in_use`, if not null, has more IDs that are not free.
// Fails when there are more peers than IDs.
Result<NodeIds> assign_node_ids(const std::vector<const state::Node*>& peers, const Maps& maps,
                                const std::vector<bool>* in_use = nullptr);

}  // namespace sheath::plan
