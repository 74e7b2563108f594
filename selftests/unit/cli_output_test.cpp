// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "loader/cli/output.hpp"

namespace sheath::cli {
namespace {

TEST_CASE("table: columns are as wide as their widest cell, numbers line up on the right") {
  Table table({{"NAME"}, {"COUNT", Table::Align::kRight}, {"END"}});
  table.add({"a", "7", "x"});
  table.add({"longer", "1234567", ""});
  CHECK(table.text(1) ==
        " NAME      COUNT  END\n"
        " a             7  x\n"
        " longer  1234567\n");
}

TEST_CASE("table: colours and characters of more than one byte do not move the columns") {
  const Style style{.colour = true};
  Table table({{"A"}, {"B"}});
  table.add({style.good("ok"), "1"});
  table.add({"\u00fc", "2"});
  CHECK(table.text() ==
        "A   B\n"
        "\033[32mok\033[0m  1\n"
        "\u00fc   2\n");
}

TEST_CASE("bytes: a unit that leaves at most three digits before it") {
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(1023) == "1023 B");
  CHECK(bytes_text(1024) == "1.0 KiB");
  CHECK(bytes_text(10 * 1024) == "10 KiB");
  CHECK(bytes_text(1536UL * 1024) == "1.5 MiB");
  CHECK(bytes_text(~0UL) == "16 EiB");
}

TEST_CASE("ages: never, then the largest whole unit; a clock that went back is now") {
  CHECK(age_text(0, 1000) == "never");
  CHECK(age_text(1000, 1059) == "59s ago");
  CHECK(age_text(1000, 1060) == "1m ago");
  CHECK(age_text(1000, 1000 + 3600) == "1h ago");
  CHECK(age_text(1000, 1000 + 2 * 86400) == "2d ago");
  CHECK(age_text(1000, 900) == "0s ago");
}

TEST_CASE("words: lists and counts") {
  CHECK(joined({}) == "none");
  CHECK(joined({"a", "b"}) == "a, b");
  CHECK(counted(1, "peer") == "1 peer");
  CHECK(counted(0, "peer") == "0 peers");
  CHECK(mac_text({2, 0, 0x0a, 0xf4, 1, 2}) == "02:00:0a:f4:01:02");
}

TEST_CASE("style: plain text unless colour is on") {
  CHECK(Style{}.bad("degraded") == "degraded");
  CHECK(Style{.colour = true}.bad("degraded") == "\033[31mdegraded\033[0m");
}

}  // namespace
}  // namespace sheath::cli
