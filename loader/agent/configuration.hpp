// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/state/load_config.hpp"

namespace sheath::agent {

// The configuration of an agent, which goes on with the last good one.
class Configuration {
 public:
  Configuration(const state::ConfigSources& sources, state::LoadedConfig loaded);

  const state::Config& config() const { return loaded_.config; }
  // Empty: there is none.
  const std::filesystem::path& file() const { return loaded_.file; }
  // Why what is in use is not what the file says, for people; empty: it is.
  const std::string& trouble() const { return trouble_; }

  // The next look reads it again, whether it changed or not.
  void ask_for_reload() { reload_wanted_ = true; }
  // Reads it again if it changed. True: it did, and was taken or not. For the beginning of a round, so that a file is
  // not read while it is being written.
  bool look();

 private:
  Result<state::LoadedConfig> load_again() const;
  void reload();

  state::ConfigSources sources_;
  state::LoadedConfig loaded_;
  std::string content_;
  std::string trouble_;
  bool reload_wanted_ = false;
};

// What of a new configuration an agent cannot take up while it runs, by key; `next` gets the old values of these. Pure.
std::vector<std::string> keep_what_needs_restart(const state::Config& running, state::Config& next);

}  // namespace sheath::agent
