// SPDX-License-Identifier: Apache-2.0
#include "loader/state/document.hpp"

#include <algorithm>
#include <cstdint>

#include "loader/state/document_builder.hpp"

namespace sheath::state {
namespace {

constexpr std::size_t kMaxDepth = 64;
// A list of 5,000 nodes has about a million.
constexpr std::size_t kMaxValues = 4'000'000;
// Names are compared with all before them; no object of Kubernetes comes near.
constexpr std::size_t kMaxMembers = 1024;

// Bytes of the UTF-8 sequence that `lead` opens, and the bounds of its second byte (RFC 3629, section 4: no overlong
// forms, no surrogates, nothing above U+10FFFF); 0 bytes for one that opens none.
struct Sequence {
  std::size_t size;
  std::uint8_t second_min;
  std::uint8_t second_max;
};

Sequence sequence_of(std::uint8_t lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead >= 0xc2 && lead <= 0xdf) return {2, 0x80, 0xbf};
  if (lead == 0xe0) return {3, 0xa0, 0xbf};
  if (lead == 0xed) return {3, 0x80, 0x9f};
  if (lead >= 0xe1 && lead <= 0xef) return {3, 0x80, 0xbf};
  if (lead == 0xf0) return {4, 0x90, 0xbf};
  if (lead >= 0xf1 && lead <= 0xf3) return {4, 0x80, 0xbf};
  if (lead == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

bool starts_with_sequence(std::string_view text, const Sequence& sequence) {
  if (sequence.size == 0 || text.size() < sequence.size) return false;
  for (std::size_t i = 1; i < sequence.size; ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const std::uint8_t low = i == 1 ? sequence.second_min : std::uint8_t{0x80};
    const std::uint8_t high = i == 1 ? sequence.second_max : std::uint8_t{0xbf};
    if (byte < low || byte > high) return false;
  }
  return true;
}

// Offset of the first byte that is not UTF-8, or npos.
std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto sequence = sequence_of(static_cast<std::uint8_t>(text[at]));
    if (!starts_with_sequence(text.substr(at), sequence)) return at;
    at += sequence.size;
  }
  return std::string_view::npos;
}

int line_at(std::string_view text, std::size_t offset) {
  return 1 + static_cast<int>(std::ranges::count(text.substr(0, offset), '\n'));
}

}  // namespace

const Value* Value::find(std::string_view name) const {
  const auto member = std::ranges::find(members, name, &Member::name);
  if (member == members.end() || member->value.kind == Kind::kNull) return nullptr;
  return &member->value;
}

std::string_view kind_text(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kNull:
      return "nothing";
    case Value::Kind::kBool:
      return "true or false";
    case Value::Kind::kNumber:
      return "a number";
    case Value::Kind::kString:
      return "a text";
    case Value::Kind::kList:
      return "a list";
    case Value::Kind::kMap:
      return "a map";
  }
  return "nothing";
}

std::unexpected<Error> document_error(const Document& document, int line, std::string_view reason) {
  const auto place = line > 0 ? document.file + ":" + std::to_string(line) : document.file;
  return fail(Error::misuse(place + ": " + std::string(reason)));
}

Result<std::vector<Value>> parse_documents(const Document& document) {
  if (const auto at = find_invalid_utf8(document.content); at != std::string_view::npos) {
    return document_error(document, line_at(document.content, at), "is not UTF-8");
  }
  return document.format == DocumentFormat::kJson ? parse_json(document) : parse_yaml(document);
}

bool DocumentBuilder::refuse(std::string reason, int line) {
  if (!problem_) problem_ = Problem{std::move(reason), line};
  return false;
}

// Appends to the innermost open list or map, or becomes the root.
bool DocumentBuilder::add(Value value) {
  if (++values_ > kMaxValues) return refuse("holds too many values", value.line);
  if (open_.empty()) {
    root_ = std::move(value);
  } else if (open_.back()->kind == Value::Kind::kList) {
    open_.back()->items.push_back(std::move(value));
  } else {
    pending_->value = std::move(value);
    open_.back()->members.push_back(std::move(*pending_));
    pending_.reset();
  }
  return true;
}

bool DocumentBuilder::scalar(Value::Kind kind, std::string text, int line) {
  if (skipping_ > 0) return true;
  Value value;
  value.kind = kind;
  value.text = std::move(text);
  value.line = line;
  return add(std::move(value));
}

bool DocumentBuilder::begin(Value::Kind kind, int line) {
  if (open_.size() + static_cast<std::size_t>(skipping_) >= kMaxDepth) return refuse("is nested too deeply", line);
  if (skipping_ > 0 || (pending_ && std::ranges::find(skip_names_, pending_->name) != skip_names_.end())) {
    ++skipping_;
    return true;
  }
  Value value;
  value.kind = kind;
  value.line = line;
  if (!add(std::move(value))) return false;
  if (open_.empty()) {
    open_.push_back(&root_);
  } else {
    Value& parent = *open_.back();
    open_.push_back(parent.kind == Value::Kind::kList ? &parent.items.back() : &parent.members.back().value);
  }
  return true;
}

bool DocumentBuilder::end() {
  if (skipping_ > 0) {
    if (--skipping_ == 0) pending_.reset();
    return true;
  }
  open_.pop_back();
  return true;
}

bool DocumentBuilder::key(std::string name, int line) {
  if (skipping_ > 0) return true;
  const auto& members = open_.back()->members;
  if (std::ranges::find(members, name, &Member::name) != members.end()) {
    return refuse("\"" + name + "\" is given twice", line);
  }
  if (members.size() >= kMaxMembers) return refuse("has too many members", line);
  pending_ = Member{std::move(name), {}, line};
  return true;
}

Value DocumentBuilder::take() {
  open_.clear();
  pending_.reset();
  skipping_ = 0;
  return std::exchange(root_, Value{});
}

}  // namespace sheath::state
