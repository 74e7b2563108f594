// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "loader/bpf/pinned_maps.hpp"

namespace sheath::cli {

// {"uplink_egress": {"encrypted": {"packets": 3, "bytes": 294}}}; what is zero is left out, all programs are there.
nlohmann::ordered_json metrics_json(const bpf::Metrics& metrics);

}  // namespace sheath::cli
