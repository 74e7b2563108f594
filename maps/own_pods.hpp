// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>

#include "loader/base/address.hpp"
#include "maps/types.h"

// Who sends, among the constants of a program: this node's pod CIDRs; of pod_egress, its pod's addresses.
namespace sheath::maps {

// As many of each family as a program takes, the first ones.
std::set<Cidr> own_pods_of(const std::set<Cidr>& prefixes);

// Into and out of the constants. What does not fit is left out.
void put_own_pods(const std::set<Cidr>& prefixes, sheath_config& config);
std::set<Cidr> take_own_pods(const sheath_config& config);

}  // namespace sheath::maps
