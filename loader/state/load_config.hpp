// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/state/config.hpp"

namespace sheath::state {

inline constexpr const char* kDefaultConfigFile = "/etc/sheath/config.yaml";

// One flag of the command line: name without dashes, text as given ("" where a bool has none; lists comma separated).
struct FlagValue {
  std::string flag;
  std::string text;
};

struct ConfigSources {
  // From --config: has to exist. Nullopt: kDefaultConfigFile, if there is one.
  std::optional<std::filesystem::path> file;
  std::vector<FlagValue> flags;  // of those in config_keys(); they win over the file
};

// Where a value came from.
struct Origin {
  enum Kind { kDefault, kFile, kFlag } kind = kDefault;
  int line = 0;  // in the file, from 1
};

struct LoadedConfig {
  Config config;
  std::map<std::string, Origin, std::less<>> origins;  // by key path; all keys
  std::filesystem::path file;                          // empty: none was read
};

// Reads, checks syntax and ranges, fills in defaults (node name: the host name; private key: below paths.state).
// Errors are misuses with file, line, key and reason.
Result<LoadedConfig> load_config(const ConfigSources& sources);

// Refuses what this version cannot do (node encryption, sources other than `file`), naming the line or
// flag that asks for it. Apart from load_config so that a view or a removal works with any configuration.
Result<> check_supported(const LoadedConfig& loaded);

// "default", "/etc/sheath/config.yaml:7", "--mode".
std::string origin_text(const LoadedConfig& loaded, std::string_view key_path);

// The effective configuration: YAML that can be loaded again, each line with its origin as comment.
std::string config_yaml(const LoadedConfig& loaded);
// The same as JSON: {"file", "config": {nested as in the file}, "origins": {"wireguard.listenPort": "default", …}}.
std::string config_json(const LoadedConfig& loaded);

}  // namespace sheath::state
