// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/base/result.hpp"
#include "loader/bpf/pinned_maps.hpp"
#include "loader/cli/command.hpp"

namespace sheath::cli {

struct MapInput {
  std::filesystem::path bpffs;
  bpf::PinnedMaps maps;
};

// The pinned maps of the configured node, for reading. An error, with what to do, when there are none.
Result<MapInput> open_maps(const Invocation& invocation);

}  // namespace sheath::cli
