// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loader/base/result.hpp"

// JSON and YAML documents as one plain tree. Input is not trusted: it has to be UTF-8, names within a map differ,
// nesting and the number of values are bounded, YAML has neither aliases (which can grow without bound) nor tags.
namespace sheath::state {

enum class DocumentFormat { kJson, kYaml };

struct Member;

struct Value {
  enum class Kind { kNull, kBool, kNumber, kString, kList, kMap };

  Kind kind = Kind::kNull;
  std::string text;             // of a scalar, as written
  std::vector<Value> items;     // of a list
  std::vector<Member> members;  // of a map, in the order written
  int line = 0;                 // from 1; 0 with JSON, whose parser does not tell

  bool is_scalar() const { return kind == Kind::kBool || kind == Kind::kNumber || kind == Kind::kString; }
  // Null when there is no such member, or it is null.
  const Value* find(std::string_view name) const;
};

struct Member {
  std::string name;
  Value value;
  int line = 0;
};

// "a list", "a number": for messages.
std::string_view kind_text(Value::Kind kind);

struct Document {
  std::string_view content;
  DocumentFormat format = DocumentFormat::kYaml;
  std::string file;  // for messages
  std::span<const std::string_view>
      skip_names;  // lists and maps of these names are left out: large, and nobody reads them
};

// All documents of the text: exactly one of JSON, any number of YAML. Errors are misuses, `FILE:LINE: reason`.
Result<std::vector<Value>> parse_documents(const Document& document);

}  // namespace sheath::state
