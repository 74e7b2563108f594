// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/state/config.hpp"

namespace sheath::state {

// How a value is written: decides its YAML and JSON form.
enum class ValueShape { kText, kBool, kNumber, kList };

// One key of the configuration: everything that the file, the flags, the views and the documentation know about it.
struct ConfigKey {
  std::string_view path;  // "wireguard.listenPort"
  std::string_view flag;  // "wireguard-listen-port", without the dashes
  ValueShape shape;
  std::string_view value_name;  // "PORT": what the help shows after the flag; of a list, one element's
  std::string_view help;
  std::string_view default_note;  // where the default depends on the node: "the host name"; else empty

  // Sets the value; of a list, appends one element. The error is the bare reason: the caller knows where it stood.
  Result<> (*set)(Config&, std::string_view text);
  // The value as text; a list's elements, else exactly one.
  std::vector<std::string> (*get)(const Config&);
  // Empties a list. Null for the rest.
  void (*clear)(Config&);
};

// All keys, in the order in which they are documented.
std::span<const ConfigKey> config_keys();
// Null when there is none.
const ConfigKey* find_config_key(std::string_view path);
const ConfigKey* find_config_flag(std::string_view flag);

// The default as text ("[]" for an empty list), or the note.
std::string default_text(const ConfigKey& key);

}  // namespace sheath::state
