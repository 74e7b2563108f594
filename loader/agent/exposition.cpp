// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/exposition.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace sheath::agent {
namespace {

// As the format wants a label's value: backslash, quote and line end escaped.
std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

void Exposition::family(std::string_view name, Type type, std::string_view help) {
  name_ = name;
  head_ = "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ +
          (type == Type::kCounter ? " counter\n" : " gauge\n");
}

void Exposition::sample(Labels labels, double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  line(labels, {text.data(), static_cast<std::size_t>(end - text.data())});
}

void Exposition::sample(Labels labels, std::uint64_t value) {
  line(labels, std::to_string(value));
}

void Exposition::line(Labels labels, std::string_view value) {
  text_ += std::exchange(head_, "");
  text_ += name_;
  const char* separator = "{";
  for (const auto& [name, label] : labels) {
    text_ += separator + std::string(name) + "=\"" + escaped(label) + "\"";
    separator = ",";
  }
  if (labels.size() != 0) text_ += '}';
  text_ += " " + std::string(value) + "\n";
}

}  // namespace sheath::agent
