// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sheath::state {

// The candidate that `name` was probably meant to be, or "" when none is near. Case, dashes and underscores count
// nothing, every other letter inserted, left out, changed or swapped with its neighbour counts one.
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> candidates);

// `did you mean "nodeName"?`, or "" when none is near.
std::string nearest_hint(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace sheath::state
