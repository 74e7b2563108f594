// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/configuration.hpp"

#include <utility>

#include "loader/agent/log.hpp"
#include "loader/base/file.hpp"

namespace sheath::agent {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& file) {
  const auto content = read_file(file);
  return content ? *content : std::string();
}

}  // namespace

Configuration::Configuration(const state::ConfigSources& sources, state::LoadedConfig loaded)
    : sources_(sources), loaded_(std::move(loaded)), content_(content_of(loaded_.file)) {}

bool Configuration::look() {
  const bool differs = !loaded_.file.empty() && content_of(loaded_.file) != content_;
  if (!std::exchange(reload_wanted_, false) && !differs) return false;
  reload();
  return true;
}

// A file that was there and is gone or empty is no wish for the defaults, which may protect less: a disk may be full.
Result<state::LoadedConfig> Configuration::load_again() const {
  if (!loaded_.file.empty() && content_.find_first_not_of(" \t\r\n") == std::string::npos)
    return fail(Error::misuse(loaded_.file.string() + ": is gone or empty"));
  auto next = state::load_config(sources_);
  if (!next) return next;
  if (auto supported = state::check_supported(*next); !supported) return fail(std::move(supported.error()));
  return next;
}

void Configuration::reload() {
  content_ = content_of(loaded_.file);
  auto next = load_again();
  if (!next) {
    trouble_ = next.error().what();
    log(Level::kError, "the configuration stays as it was: " + next.error().what());
    return;
  }
  const auto kept = keep_what_needs_restart(config(), next->config);
  trouble_.clear();
  for (const auto& key : kept) trouble_ += (trouble_.empty() ? "" : ", ") + key;
  if (!kept.empty()) trouble_ += ": taken up when the agent is started again";
  loaded_ = std::move(*next);
  log(Level::kNotice, "the configuration was read again");
  if (!kept.empty()) log(Level::kWarning, trouble_);
}

std::vector<std::string> keep_what_needs_restart(const state::Config& running, state::Config& next) {
  std::vector<std::string> kept;
  const auto keep = [&](const char* key, const auto& old, auto& wanted) {
    if (old == wanted) return;
    kept.emplace_back(key);
    wanted = old;
  };
  keep("nodeName", running.node_name, next.node_name);
  keep("nodes.source", running.nodes.source, next.nodes.source);
  keep("nodes.path", running.nodes.path, next.nodes.path);
  keep("metrics.listen", running.metrics.listen, next.metrics.listen);
  keep("paths.bpffs", running.paths.bpffs, next.paths.bpffs);
  keep("paths.run", running.paths.run, next.paths.run);
  keep("paths.state", running.paths.state, next.paths.state);
  return kept;
}

}  // namespace sheath::agent
