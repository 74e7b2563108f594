// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/base/address.hpp"
#include "maps/types.h"

// Between addresses and the keys of the maps. Bytes stay in network order on both sides.
namespace sheath::maps {

sheath_addr to_key(const IpAddress& address);
IpAddress from_key(const sheath_addr& key);

// For CIDRs of the right family only; the caller chooses the map by it.
sheath_prefix4 to_prefix4(const Cidr& cidr);
sheath_prefix6 to_prefix6(const Cidr& cidr);
Cidr from_key(const sheath_prefix4& key);
Cidr from_key(const sheath_prefix6& key);

}  // namespace sheath::maps
