// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loader/state/document.hpp"

namespace sheath::state {

// Makes a tree of the events of a parser, and stops it at the first thing that a document must not have: every
// function returns false from then on.
class DocumentBuilder {
 public:
  struct Problem {
    std::string reason;
    int line = 0;
  };

  explicit DocumentBuilder(std::span<const std::string_view> skip_names) : skip_names_(skip_names) {}

  bool scalar(Value::Kind kind, std::string text, int line);
  // kList or kMap.
  bool begin(Value::Kind kind, int line);
  bool end();
  // The name of the next value, inside a map.
  bool key(std::string name, int line);
  bool refuse(std::string reason, int line);

  const std::optional<Problem>& problem() const { return problem_; }
  // The finished document; the builder is then ready for the next.
  Value take();

 private:
  bool add(Value value);

  std::span<const std::string_view> skip_names_;
  Value root_;
  // Open lists and maps, outermost first. Parents grow only while they are innermost, so pointers stay valid.
  std::vector<Value*> open_;
  std::optional<Member> pending_;  // a key that waits for its value
  int skipping_ = 0;               // depth inside a member that is left out
  std::size_t values_ = 0;
  std::optional<Problem> problem_;
};

// The parsers of the two formats; `parse_documents` chooses. The error is `FILE:LINE: reason`.
Result<std::vector<Value>> parse_yaml(const Document& document);
Result<std::vector<Value>> parse_json(const Document& document);
std::unexpected<Error> document_error(const Document& document, int line, std::string_view reason);

}  // namespace sheath::state
