// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "loader/state/config_keys.hpp"
#include "loader/state/load_config.hpp"

namespace sheath::state {
namespace {

using Json = nlohmann::ordered_json;

// What stands for text that is not UTF-8 (a flag can hold any byte) is U+FFFD instead of an exception.
std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json scalar_json(ValueShape shape, const std::string& text) {
  if (shape == ValueShape::kBool) return text == "true";
  if (shape == ValueShape::kNumber) return std::stoul(text);
  return text;
}

Json value_json(const ConfigKey& key, const Config& config) {
  const auto texts = key.get(config);
  if (key.shape != ValueShape::kList) return scalar_json(key.shape, texts.front());
  auto out = Json::array();
  for (const auto& text : texts) out.push_back(text);
  return out;
}

// Whether YAML takes it for text without quotes, wherever it stands.
bool is_plain(const std::string& text) {
  static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  static constexpr std::string_view kNumber = "0123456789.-eE";
  const auto holds_only = [&](std::string_view more) {
    return std::ranges::all_of(text, [&](char c) { return kLetters.contains(c) || more.contains(c); });
  };
  const bool is_word = text == "true" || text == "false" || text == "null";
  const bool is_number = text.find_first_not_of(kNumber) == std::string::npos;
  return !text.empty() && !is_word && !is_number && holds_only("0123456789/.-_") && text.front() != '-';
}

std::string scalar_yaml(ValueShape shape, const std::string& text) {
  const bool quote = (shape == ValueShape::kText || shape == ValueShape::kList) && !is_plain(text);
  // A JSON string is a double-quoted scalar of YAML.
  return quote ? dump(Json(text)) : text;
}

std::string value_yaml(const ConfigKey& key, const Config& config) {
  const auto texts = key.get(config);
  if (key.shape != ValueShape::kList) return scalar_yaml(key.shape, texts.front());
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ", ") + scalar_yaml(key.shape, text);
  return "[" + out + "]";
}

}  // namespace

std::string config_yaml(const LoadedConfig& loaded) {
  std::string out;
  std::string_view open_section;
  for (const auto& key : config_keys()) {
    const auto dot = key.path.find('.');
    const auto section = dot == std::string_view::npos ? std::string_view() : key.path.substr(0, dot);
    if (section != open_section && !section.empty()) out += std::string(section) + ":\n";
    open_section = section;
    const auto name = section.empty() ? key.path : key.path.substr(dot + 1);
    out += (section.empty() ? "" : "  ") + std::string(name) + ": " + value_yaml(key, loaded.config) + "  # " +
           origin_text(loaded, key.path) + "\n";
  }
  return out;
}

std::string config_json(const LoadedConfig& loaded) {
  Json out;
  out["file"] = loaded.file.empty() ? Json() : Json(loaded.file.string());
  out["config"] = Json::object();
  out["origins"] = Json::object();
  for (const auto& key : config_keys()) {
    auto pointer = "/" + std::string(key.path);
    std::ranges::replace(pointer, '.', '/');
    out["config"][Json::json_pointer(pointer)] = value_json(key, loaded.config);
    out["origins"][std::string(key.path)] = origin_text(loaded, key.path);
  }
  return dump(out, 2) + "\n";
}

}  // namespace sheath::state
