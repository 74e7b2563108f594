// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/constants.hpp"

#include <cstring>
#include <string_view>

namespace sheath::bpf {
namespace {

const btf_type* without_modifiers(const btf* types, std::uint32_t id) {
  const btf_type* type = btf__type_by_id(types, id);
  while (type != nullptr && (btf_is_mod(type) || btf_is_typedef(type))) type = btf__type_by_id(types, type->type);
  return type;
}

bool is_config(const btf* types, const btf_type* type) {
  return type != nullptr && btf_is_struct(type) &&
         std::string_view(btf__name_by_offset(types, type->name_off)) == "sheath_config";
}

}  // namespace

std::optional<ConfigPosition> find_config(const btf* types, std::int32_t section_id) {
  if (section_id <= 0) return std::nullopt;
  const btf_type* section = btf__type_by_id(types, static_cast<std::uint32_t>(section_id));
  if (section == nullptr || !btf_is_datasec(section)) return std::nullopt;
  const btf_var_secinfo* variables = btf_var_secinfos(section);
  for (std::uint16_t i = 0; i < btf_vlen(section); ++i) {
    const btf_type* variable = btf__type_by_id(types, variables[i].type);
    const btf_type* type = variable == nullptr ? nullptr : without_modifiers(types, variable->type);
    if (is_config(types, type)) return ConfigPosition{variables[i].offset, type->size};
  }
  return std::nullopt;
}

sheath_config read_config(std::span<const std::byte> section, const ConfigPosition& position) {
  sheath_config config{};
  if (position.offset + position.size > section.size()) return config;
  const auto known = position.size == sizeof config ? sizeof config : sizeof config.build;
  if (known <= position.size) std::memcpy(&config, section.data() + position.offset, known);
  return config;
}

}  // namespace sheath::bpf
