// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "loader/base/result.hpp"

namespace sheath::cli {

// Colours for words that say how things are; plain text unless `colour`.
struct Style {
  bool colour = false;

  std::string good(std::string_view text) const;
  std::string bad(std::string_view text) const;
};

// Colour when stdout is a terminal that has it and NO_COLOR is not set (no-color.org).
Style terminal_style();

// Rows under a header, columns padded to their widest cell, two spaces between. Numbers line up on the right.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string_view title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  // `indent` spaces before each line; nothing behind the last cell.
  std::string text(std::size_t indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "none" for an empty list, else its members with ", " between.
std::string joined(const std::vector<std::string>& parts);

template <typename Range>
std::vector<std::string> texts(const Range& values) {
  std::vector<std::string> out;
  for (const auto& value : values) out.push_back(value.text());
  return out;
}

// "1 peer", "3 peers".
std::string counted(std::size_t count, std::string_view noun);
// "999 B", "1.5 KiB", "12 MiB".
std::string bytes_text(std::uint64_t bytes);
// "12s ago", "5m ago", "3h ago", "2d ago"; "never" for 0. Seconds since the epoch.
std::string age_text(std::int64_t then, std::int64_t now);
// Bytes of a link-layer address: "02:00:0a:f4:01:02".
std::string mac_text(const std::uint8_t (&bytes)[6]);

// Indented, with a newline at its end; what is not UTF-8 becomes U+FFFD.
std::string json_text(const nlohmann::ordered_json& json);

// Makes sure that nothing we open gets the number of a standard stream that the caller closed: writing to one then
// fails instead of ending up in a map or a key file.
void guard_standard_streams();
// All of it, to stdout. A reader that went away (EPIPE) is no error: it had enough.
Result<> write_stdout(std::string_view text);

}  // namespace sheath::cli
