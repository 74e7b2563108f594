// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "loader/state/document_builder.hpp"

namespace sheath::state {
namespace {

// Hands the parser's events to the builder; the names are the parser's.
class JsonEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit JsonEvents(DocumentBuilder& builder) : builder_(builder) {}

  bool null() override { return builder_.scalar(Value::Kind::kNull, "", 0); }
  bool boolean(bool value) override { return builder_.scalar(Value::Kind::kBool, value ? "true" : "false", 0); }
  bool number_integer(number_integer_t value) override { return number(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return number(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override { return number(text); }
  bool string(string_t& text) override { return builder_.scalar(Value::Kind::kString, std::move(text), 0); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return builder_.begin(Value::Kind::kMap, 0); }
  bool key(string_t& name) override { return builder_.key(std::move(name), 0); }
  bool end_object() override { return builder_.end(); }
  bool start_array(std::size_t) override { return builder_.begin(Value::Kind::kList, 0); }
  bool end_array() override { return builder_.end(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    position_ = position;
    return false;
  }

  // How many bytes the parser had read when it met what is not JSON.
  std::size_t position() const { return position_; }

 private:
  bool number(std::string text) { return builder_.scalar(Value::Kind::kNumber, std::move(text), 0); }

  DocumentBuilder& builder_;
  std::size_t position_ = 0;
};

// The parser's own words repeat input; the place is enough.
std::unexpected<Error> syntax_error(const Document& document, std::size_t position) {
  const auto read = document.content.substr(0, position);
  const bool at_end = document.content.find_last_not_of(" \t\r\n") + 1 <= (position > 0 ? position - 1 : 0);
  const auto line = 1 + static_cast<int>(std::ranges::count(read, '\n'));
  return document_error(document, line, at_end ? "is not JSON: it ends too early" : "is not JSON");
}

}  // namespace

Result<std::vector<Value>> parse_json(const Document& document) {
  DocumentBuilder builder(document.skip_names);
  JsonEvents events(builder);
  const bool parsed = nlohmann::json::sax_parse(document.content.begin(), document.content.end(), &events);
  if (builder.problem()) return document_error(document, builder.problem()->line, builder.problem()->reason);
  if (!parsed) return syntax_error(document, events.position());
  std::vector<Value> out;
  out.push_back(builder.take());
  return out;
}

}  // namespace sheath::state
