// SPDX-License-Identifier: Apache-2.0
// The pages and the code say the same.
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "maps/names.hpp"

using namespace sheath;

namespace {

std::string readme() {
  std::ifstream file(SHEATH_SOURCE_DIR "/maps/README.md");
  std::ostringstream text;
  text << file.rdbuf();
  REQUIRE(file);
  return text.str();
}

// The page from a heading on, up to the next one.
std::string section(const std::string& heading) {
  const std::string page = readme();
  const std::size_t begin = page.find("\n## " + heading + "\n");
  REQUIRE(begin != std::string::npos);
  return page.substr(begin, page.find("\n## ", begin + 1) - begin);
}

}  // namespace

TEST_CASE("contract: maps/README.md has every reason, in order, and no other") {
  std::string table;
  for (const auto& reason : maps::reasons())
    table += "| `" + std::string(reason.name) + "` | " + std::string(maps::verdict_name(reason.verdict)) + " | " +
             std::string(reason.doc) + " |\n";
  CHECK(section("Reasons").find("|---|---|---|\n" + table + "\n") != std::string::npos);
}

TEST_CASE("contract: maps/README.md has every direction, in order, and no other") {
  std::string table;
  for (const auto& direction : maps::directions())
    table += "| `" + std::string(direction.name) + "` | " + std::string(direction.doc) + " |\n";
  CHECK((section("Directions") + "\n").find("|---|---|\n" + table + "\n") != std::string::npos);
}
