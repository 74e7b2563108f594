// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "loader/bpf/program.hpp"
#include "loader/cli/commands.hpp"
#include "maps/names.hpp"

namespace sheath::cli {
namespace {

std::string hex(std::uint64_t value) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016" PRIx64, value);
  return text.data();
}

Result<Outcome> run_version(const Invocation& invocation) {
  nlohmann::ordered_json json{{"version", SHEATH_VERSION}, {"programs", nlohmann::ordered_json::object()}};
  for (const auto& direction : maps::directions()) {
    json["programs"][std::string(direction.name)] = hex(bpf::build_id(direction.direction));
  }
  return Outcome{invocation.json() ? json_text(json) : "sheath " SHEATH_VERSION "\n"};
}

}  // namespace

Command version_command() {
  return {.name = "version",
          .summary = "the version of this binary",
          .arguments = "",
          .details =
              "Shows the version. As JSON also the build of each program that the binary carries: a node whose\n"
              "programs have another build gets new ones with the next `sheath apply`.",
          .options = {},
          .examples = {{"sheath version", ""}, {"sheath version -o json", "with the builds of the programs"}},
          .run = run_version};
}

}  // namespace sheath::cli
