// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "loader/cli/commands.hpp"
#include "loader/cli/map_input.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;
using Align = Table::Align;

std::string maps_json(const std::vector<bpf::MapInfo>& maps, const std::filesystem::path& bpffs) {
  Json list = Json::array();
  for (const auto& map : maps) {
    list.push_back({{"name", map.name},
                    {"id", map.id},
                    {"type", map.type_name},
                    {"key_size", map.key_size},
                    {"value_size", map.value_size},
                    {"max_entries", map.max_entries},
                    {"pin", (bpffs / map.name).string()}});
  }
  return json_text(list);
}

std::string maps_text(const std::vector<bpf::MapInfo>& maps, const std::filesystem::path& bpffs) {
  Table table({{"NAME"},
               {"ID", Align::kRight},
               {"TYPE"},
               {"KEY", Align::kRight},
               {"VALUE", Align::kRight},
               {"MAX ENTRIES", Align::kRight},
               {"PIN"}});
  for (const auto& map : maps) {
    table.add({map.name, std::to_string(map.id), map.type_name, bytes_text(map.key_size), bytes_text(map.value_size),
               std::to_string(map.max_entries), (bpffs / map.name).string()});
  }
  return table.text();
}

Result<Outcome> run_map_list(const Invocation& invocation) {
  const auto input = open_maps(invocation);
  if (!input) return fail(input.error());
  const auto maps = input->maps.info();
  if (!maps) return fail(maps.error());
  return Outcome{invocation.json() ? maps_json(*maps, input->bpffs) : maps_text(*maps, input->bpffs)};
}

}  // namespace

Command map_list_command() {
  return {.name = "map list",
          .summary = "the pinned maps",
          .arguments = "",
          .details = "Shows the maps that the programs and the loader share, and where they are pinned.",
          .options = {},
          .examples = {{"sheath map list", ""}, {"sheath map list -o json", ""}},
          .run = run_map_list};
}

}  // namespace sheath::cli
