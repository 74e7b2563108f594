// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace sheath::cli {
namespace {

std::string coloured(std::string_view text, std::string_view code) {
  return "\033[" + std::string(code) + "m" + std::string(text) + "\033[0m";
}

// What a terminal shows of it: colours take no room, nor do the further bytes of a UTF-8 character.
std::size_t width(std::string_view text) {
  std::size_t columns = 0;
  bool escape = false;
  for (const char c : text) {
    if (c == '\033') escape = true;
    if (!escape && (static_cast<unsigned char>(c) & 0xc0) != 0x80) ++columns;
    if (c == 'm') escape = false;
  }
  return columns;
}

std::string without_trailing_spaces(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

std::string Style::good(std::string_view text) const {
  return colour ? coloured(text, "32") : std::string(text);
}

std::string Style::bad(std::string_view text) const {
  return colour ? coloured(text, "31") : std::string(text);
}

Style terminal_style() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool refused = no_colour != nullptr && *no_colour != '\0';
  const bool able = terminal != nullptr && std::string_view(terminal) != "dumb";
  return {.colour = isatty(STDOUT_FILENO) == 1 && able && !refused};
}

std::string Table::text(std::size_t indent) const {
  std::vector<std::string> header;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    header.emplace_back(columns_[i].title);
    widths.push_back(width(columns_[i].title));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], width(row[i]));
  }
  const auto line = [&](const std::vector<std::string>& row) {
    std::string out(indent, ' ');
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string padding(widths[i] - width(row[i]), ' ');
      out += columns_[i].align == Align::kLeft ? row[i] + padding : padding + row[i];
      out += "  ";
    }
    return without_trailing_spaces(std::move(out)) + "\n";
  };
  auto out = line(header);
  for (const auto& row : rows_) out += line(row);
  return out;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : ", ") + part;
  return parts.empty() ? "none" : out;
}

std::string counted(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  std::size_t unit = 0;
  double value = static_cast<double>(bytes);
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), value < 10 ? "%.1f %s" : "%.0f %s", value, kUnits[unit]);
  return text.data();
}

std::string age_text(std::int64_t then, std::int64_t now) {
  if (then == 0) return "never";
  const auto age = std::max<std::int64_t>(now - then, 0);
  if (age < 60) return std::to_string(age) + "s ago";
  if (age < 3600) return std::to_string(age / 60) + "m ago";
  if (age < 86400) return std::to_string(age / 3600) + "h ago";
  return std::to_string(age / 86400) + "d ago";
}

std::string mac_text(const std::uint8_t (&bytes)[6]) {
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3],
                bytes[4], bytes[5]);
  return text.data();
}

std::string json_text(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void guard_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest free number, which is this stream's. Opened the wrong way round, so that its use still fails.
    const int mode = stream == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (open("/dev/null", mode) != stream) _exit(1);
  }
}

Result<> write_stdout(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(STDOUT_FILENO, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EPIPE) return {};
    if (count < 0) return fail(Error::system("write to stdout", errno));
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace sheath::cli
