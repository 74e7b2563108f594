// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <vector>

#include "loader/base/address.hpp"
#include "maps/types.h"

// Which lengths the prefixes of pod_cidrs4 and pod_cidrs6 have: what the programs look up, and where.
namespace sheath::maps {

struct PrefixLength {
  Family family = Family::kIpv4;
  std::uint8_t length = 0;
  auto operator<=>(const PrefixLength&) const = default;
};

// Each length with one prefix that covers all of that length; of IPv6 no longer than 64.
using PrefixLengths = std::map<PrefixLength, Cidr>;

// `ranges`: what lies in one of these is taken for the whole of it, so that a cover does not grow with each node.
PrefixLengths lengths_of(const std::vector<Cidr>& prefixes, const std::vector<Cidr>& ranges);

// What both know.
PrefixLengths merged(PrefixLengths left, const PrefixLengths& right);

// Whether a family has more than so many.
bool more_than(std::size_t count, const PrefixLengths& lengths);

// Into and out of the constants of a program. What does not fit is left out.
void put_lengths(const PrefixLengths& lengths, sheath_config& config);
PrefixLengths take_lengths(const sheath_config& config);

}  // namespace sheath::maps
