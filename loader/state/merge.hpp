// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "loader/base/result.hpp"
#include "loader/state/node.hpp"
#include "loader/state/node_object.hpp"

namespace sheath::state {

// One node of each name: field by field (addresses, pod CIDRs, key; labels one by one) the most trusted object that has
// it. Refuses two objects of one kind and name.
Result<Cluster> merge_objects(std::span<const NodeObject> objects);

}  // namespace sheath::state
