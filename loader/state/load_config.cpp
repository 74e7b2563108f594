// SPDX-License-Identifier: Apache-2.0
#include "loader/state/load_config.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ranges>

#include "loader/base/file.hpp"
#include "loader/state/config_keys.hpp"
#include "loader/state/document.hpp"
#include "loader/state/nearest.hpp"
#include "loader/state/value_parsers.hpp"

namespace sheath::state {
namespace {

constexpr std::size_t kMaxConfigFile = 1u << 20;

std::string_view section_of(std::string_view path) {
  const auto dot = path.find('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

std::string_view leaf_of(std::string_view path) {
  return path.substr(path.rfind('.') + 1);
}

bool is_section(std::string_view name) {
  return std::ranges::any_of(config_keys(), [&](const ConfigKey& key) { return section_of(key.path) == name; });
}

// What may stand in a section; at the top level ("") keys and the names of sections.
std::vector<std::string_view> names_in(std::string_view section) {
  std::vector<std::string_view> out;
  for (const auto& key : config_keys()) {
    const auto own = section_of(key.path);
    if (own == section) out.push_back(leaf_of(key.path));
    if (section.empty() && !own.empty() && std::ranges::find(out, own) == out.end()) out.push_back(own);
  }
  return out;
}

// The nearest name in the same section, else the key of that last name elsewhere. A key's whole path as one name is a
// section that was not opened.
std::string hint_for(std::string_view section, std::string_view name) {
  if (find_config_key(name) != nullptr) {
    return "write " + std::string(section_of(name)) + ": with " + std::string(leaf_of(name)) + ": below it";
  }
  if (auto hint = nearest_hint(name, names_in(section)); !hint.empty()) return hint;
  for (const auto& key : config_keys()) {
    const std::array<std::string_view, 1> leaf{leaf_of(key.path)};
    if (!nearest_name(name, leaf).empty()) return "did you mean \"" + std::string(key.path) + "\"?";
  }
  return "";
}

// Reads the tree of a file into a LoadedConfig.
class FileReader {
 public:
  FileReader(LoadedConfig& out, std::string file) : out_(out), file_(std::move(file)) {}

  Result<> read_document(const Value& root) {
    if (root.kind == Value::Kind::kNull) return {};
    if (root.kind != Value::Kind::kMap) {
      return fail(
          Error::misuse(place(root.line) + "has to be a map of keys, not " + std::string(kind_text(root.kind))));
    }
    return read_members("", root);
  }

 private:
  std::string place(int line) const { return file_ + ":" + std::to_string(line) + ": "; }

  Result<> read_members(std::string_view section, const Value& map) {
    for (const auto& member : map.members) {
      if (auto read = read_member(section, member); !read) return read;
    }
    return {};
  }

  Result<> read_member(std::string_view section, const Member& member) {
    const auto path = section.empty() ? member.name : std::string(section) + "." + member.name;
    if (const auto* key = find_config_key(path); key != nullptr && section_of(path) == section) {
      return read_value(*key, member);
    }
    if (section.empty() && is_section(member.name)) return read_section(member);
    return fail(
        Error::misuse(place(member.line) + "unknown key \"" + path + "\"").hint(hint_for(section, member.name)));
  }

  Result<> read_section(const Member& member) {
    if (member.value.kind == Value::Kind::kMap) return read_members(member.name, member.value);
    return fail(Error::misuse(place(member.line) + member.name + ": has to be a map of keys, not " +
                              std::string(kind_text(member.value.kind))));
  }

  Result<> read_value(const ConfigKey& key, const Member& member) {
    out_.origins.insert_or_assign(std::string(key.path), Origin{Origin::kFile, member.line});
    if (key.shape == ValueShape::kList) return read_list(key, member);
    if (!member.value.is_scalar()) {
      return fail(Error::misuse(place(member.line) + std::string(key.path) + ": has to be one value, not " +
                                std::string(kind_text(member.value.kind))));
    }
    auto set = key.set(out_.config, member.value.text);
    if (!set) return fail(std::move(set.error()).context(place(member.value.line) + std::string(key.path)));
    return {};
  }

  Result<> read_list(const ConfigKey& key, const Member& member) {
    const auto& list = member.value;
    if (list.kind != Value::Kind::kList) {
      const auto hint = list.is_scalar() ? std::string(leaf_of(key.path)) + ": [" + list.text + "]" : "";
      return fail(Error::misuse(place(member.line) + std::string(key.path) + ": has to be a list, not " +
                                std::string(kind_text(list.kind)))
                      .hint(hint));
    }
    key.clear(out_.config);
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      if (auto read = read_element(key, list.items[i], i); !read) return read;
    }
    return {};
  }

  Result<> read_element(const ConfigKey& key, const Value& element, std::size_t index) {
    const auto where = place(element.line) + std::string(key.path) + "[" + std::to_string(index) + "]";
    if (!element.is_scalar()) {
      return fail(Error::misuse(where + ": has to be one value, not " + std::string(kind_text(element.kind))));
    }
    auto set = key.set(out_.config, element.text);
    if (!set) return fail(std::move(set.error()).context(where));
    return {};
  }

  LoadedConfig& out_;
  std::string file_;
};

Result<> read_config_file(LoadedConfig& out, const ConfigSources& sources) {
  const std::filesystem::path path = sources.file.value_or(kDefaultConfigFile);
  const auto content = read_file(path, kMaxConfigFile);
  if (!content) {
    if (!sources.file && content.error().error_number() == ENOENT) return {};
    return fail(Error::misuse("configuration: " + content.error().what()));
  }
  out.file = path;
  const auto documents = parse_documents({*content, DocumentFormat::kYaml, path.string(), {}});
  if (!documents) return fail(documents.error());
  if (documents->size() > 1) return fail(Error::misuse(path.string() + ": holds more than one YAML document"));
  if (documents->empty()) return {};
  return FileReader(out, path.string()).read_document(documents->front());
}

Result<> apply_list_flag(LoadedConfig& out, const ConfigKey& key, const FlagValue& flag) {
  const auto origin = out.origins.find(key.path);
  // The first flag replaces what the file has, further ones of the same name add to it.
  if (origin->second.kind != Origin::kFlag) key.clear(out.config);
  std::size_t index = 0;
  for (const auto part : std::views::split(flag.text, ',')) {
    if (flag.text.empty()) break;
    auto set = key.set(out.config, std::string_view(part.begin(), part.end()));
    if (!set) return fail(std::move(set.error()).context("--" + flag.flag + "[" + std::to_string(index) + "]"));
    ++index;
  }
  return {};
}

std::unexpected<Error> unknown_flag(const std::string& flag) {
  std::vector<std::string_view> flags;
  for (const auto& key : config_keys()) flags.push_back(key.flag);
  const auto nearest = nearest_name(flag, flags);
  auto error = Error::misuse("unknown flag --" + flag);
  if (nearest.empty()) return fail(std::move(error));
  return fail(std::move(error).hint("did you mean \"--" + std::string(nearest) + "\"?"));
}

Result<> apply_flag(LoadedConfig& out, const FlagValue& flag) {
  const auto* key = find_config_flag(flag.flag);
  if (key == nullptr) return unknown_flag(flag.flag);
  if (key->shape == ValueShape::kList) {
    if (auto applied = apply_list_flag(out, *key, flag); !applied) return applied;
  } else {
    const bool bare_bool = key->shape == ValueShape::kBool && flag.text.empty();
    auto set = key->set(out.config, bare_bool ? "true" : flag.text);
    if (!set) return fail(std::move(set.error()).context("--" + flag.flag));
  }
  out.origins.insert_or_assign(std::string(key->path), Origin{Origin::kFlag, 0});
  return {};
}

// As the kubelet does it: the host name in lower case.
Result<std::string> host_name() {
  std::array<char, 256> buffer{};
  if (gethostname(buffer.data(), buffer.size() - 1) != 0) return fail(Error::system("read the host name", errno));
  std::string name(buffer.data());
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  auto checked = parse_node_name(name);
  if (!checked) {
    return fail(std::move(checked.error()).context("nodeName: the host name").hint("set nodeName or --node-name"));
  }
  return checked;
}

Result<> fill_in_defaults(LoadedConfig& out) {
  auto& config = out.config;
  if (out.origins["nodeName"].kind == Origin::kDefault) {
    auto name = host_name();
    if (!name) return fail(std::move(name.error()));
    config.node_name = *std::move(name);
  }
  // Several nodes on one machine have a state folder each, and must not share a key.
  if (out.origins["wireguard.privateKeyFile"].kind == Origin::kDefault) {
    config.wireguard.private_key_file = config.paths.state / "wireguard.key";
  }
  return {};
}

}  // namespace

Result<LoadedConfig> load_config(const ConfigSources& sources) {
  LoadedConfig out;
  for (const auto& key : config_keys()) out.origins.emplace(key.path, Origin{});
  if (auto read = read_config_file(out, sources); !read) return fail(std::move(read.error()));
  for (const auto& flag : sources.flags) {
    if (auto applied = apply_flag(out, flag); !applied) return fail(std::move(applied.error()));
  }
  if (auto filled = fill_in_defaults(out); !filled) return fail(std::move(filled.error()));
  return out;
}

Result<> check_supported(const LoadedConfig& loaded) {
  const auto& config = loaded.config;
  const auto refuse = [&](std::string_view path) -> Result<> {
    const auto value = find_config_key(path)->get(config).front();
    return fail(Error::misuse(origin_text(loaded, path) + ": " + std::string(path) + ": " + value +
                              " is not supported by this version"));
  };
  if (config.nodes.source != "file") return refuse("nodes.source");
  return {};
}

std::string origin_text(const LoadedConfig& loaded, std::string_view key_path) {
  const auto found = loaded.origins.find(key_path);
  const auto origin = found == loaded.origins.end() ? Origin{} : found->second;
  if (origin.kind == Origin::kFile) return loaded.file.string() + ":" + std::to_string(origin.line);
  if (origin.kind == Origin::kFlag) return "--" + std::string(find_config_key(key_path)->flag);
  return "default";
}

}  // namespace sheath::state
