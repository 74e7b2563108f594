// SPDX-License-Identifier: Apache-2.0
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "loader/state/document_builder.hpp"

namespace sheath::state {
namespace {

// Thrown through the parser to leave it early; never leaves this file.
struct Stop {};

bool is_number(const std::string& text) {
  if (text.find_first_not_of("0123456789.-+eE") != std::string::npos) return false;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// What a plain (unquoted) scalar is, by YAML's core schema.
Value::Kind kind_of_plain(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return Value::Kind::kNull;
  if (text == "true" || text == "false") return Value::Kind::kBool;
  return is_number(text) ? Value::Kind::kNumber : Value::Kind::kString;
}

// Hands the parser's events to the builder; the names are the parser's.
class YamlEvents : public YAML::EventHandler {
 public:
  explicit YamlEvents(DocumentBuilder& builder) : builder_(builder) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { scalar(mark, Value::Kind::kNull, ""); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    go_on(builder_.refuse("aliases (*name) are not supported", line_of(mark)));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& text) override {
    check_tag(mark, tag);
    scalar(mark, tag == "?" ? kind_of_plain(text) : Value::Kind::kString, text);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    begin(mark, tag, Value::Kind::kList);
  }
  void OnSequenceEnd() override { go_on(leave()); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    begin(mark, tag, Value::Kind::kMap);
  }
  void OnMapEnd() override { go_on(leave()); }

 private:
  static int line_of(const YAML::Mark& mark) { return mark.line + 1; }

  static void go_on(bool wanted) {
    if (!wanted) throw Stop{};
  }

  // "?" and "!" stand for none, of a plain and of a quoted value.
  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!")
      go_on(builder_.refuse("tags (!name) are not supported", line_of(mark)));
  }

  void scalar(const YAML::Mark& mark, Value::Kind kind, const std::string& text) {
    if (!key_is_next()) {
      go_on(builder_.scalar(kind, text, line_of(mark)));
      value_done();
    } else if (kind == Value::Kind::kNull) {
      go_on(builder_.refuse("a key is missing", line_of(mark)));
    } else {
      go_on(builder_.key(text, line_of(mark)));
      levels_.back().key_next = false;
    }
  }

  void begin(const YAML::Mark& mark, const std::string& tag, Value::Kind kind) {
    check_tag(mark, tag);
    if (key_is_next()) go_on(builder_.refuse("a key has to be a word", line_of(mark)));
    go_on(builder_.begin(kind, line_of(mark)));
    levels_.push_back({kind == Value::Kind::kMap, true});
  }

  bool leave() {
    levels_.pop_back();
    value_done();
    return builder_.end();
  }

  bool key_is_next() const { return !levels_.empty() && levels_.back().is_map && levels_.back().key_next; }
  void value_done() {
    if (!levels_.empty()) levels_.back().key_next = true;
  }

  struct Level {
    bool is_map;
    bool key_next;
  };

  DocumentBuilder& builder_;
  std::vector<Level> levels_;
};

// How many documents the text can hold: each but the first comes after a line that begins with "---" or "...".
std::size_t max_documents(std::string_view text) {
  std::size_t count = 1;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at), at += at < text.size() ? 1u : 0u) {
    const auto line = text.substr(at, 3);
    if (line == "---" || line == "...") ++count;
  }
  return count;
}

}  // namespace

Result<std::vector<Value>> parse_yaml(const Document& document) {
  std::istringstream stream{std::string(document.content)};
  DocumentBuilder builder(document.skip_names);
  const auto limit = max_documents(document.content);
  std::vector<Value> out;
  try {
    YAML::Parser parser(stream);
    for (YamlEvents events(builder); parser.HandleNextDocument(events);) {
      // At a stray "}" the parser answers with empty documents for ever.
      if (out.size() == limit)
        return document_error(document, 0, "is not YAML: goes on behind the end of its document");
      out.push_back(builder.take());
    }
  } catch (const Stop&) {
    return document_error(document, builder.problem()->line, builder.problem()->reason);
  } catch (const YAML::Exception& error) {
    return document_error(document, error.mark.line + 1, "is not YAML: " + error.msg);
  } catch (const std::exception&) {
    return document_error(document, 0, "is not YAML");
  }
  return out;
}

}  // namespace sheath::state
