// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/map_input.hpp"

namespace sheath::cli {

Result<MapInput> open_maps(const Invocation& invocation) {
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  const auto& bpffs = loaded->config.paths.bpffs;
  auto maps = bpf::PinnedMaps::open(bpffs, bpf::Access::kRead);
  if (!maps) return fail(maps.error());
  if (*maps) return MapInput{bpffs, std::move(**maps)};
  return fail(Error("no maps are pinned in " + bpffs.string(), ErrorKind::kFailure)
                  .hint("`sheath apply` makes them; --bpffs names another folder"));
}

}  // namespace sheath::cli
