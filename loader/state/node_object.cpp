// SPDX-License-Identifier: Apache-2.0
#include "loader/state/node_object.hpp"

#include <algorithm>
#include <array>

#include "loader/state/node_fields.hpp"
#include "loader/state/object_names.hpp"

namespace sheath::state {
namespace {

// Most of a Node object's bytes, and nothing of it concerns us.
constexpr std::array<std::string_view, 4> kSkipNames{"images", "managedFields", "conditions", "volumesAttached"};
constexpr std::array<std::string_view, 3> kListKinds{"List", "NodeList", "CiliumNodeList"};

using Kind = Value::Kind;

// "Node", "CiliumNode", or in a typed list, whose items the API server sends without their kind, the list's.
Result<std::string> kind_of(const Value& object, std::string_view list_kind) {
  const auto kind = text_member({&object, ""}, "kind");
  if (!kind) return fail(kind.error());
  if (!kind->empty()) return *kind;
  if (list_kind == "NodeList" || list_kind == "CiliumNodeList")
    return std::string(list_kind.substr(0, list_kind.size() - 4));
  return fail(Error::misuse("kind: is missing"));
}

Result<ObjectKind> object_kind(const std::string& kind, const std::string& api_version) {
  const bool is_core = api_version.empty() || api_version == "v1";
  const bool is_cilium = api_version.empty() || api_version.starts_with("cilium.io/");
  if (kind == "Node" && is_core) return ObjectKind::kNode;
  if (kind == "CiliumNode" && is_cilium) return ObjectKind::kCiliumNode;
  const auto full = api_version.empty() ? kind : kind + " of " + api_version;
  return fail(Error::misuse("kind: is " + full + ", but only Node, CiliumNode and lists of them belong here"));
}

class FileParser {
 public:
  FileParser(std::string file, std::vector<BadObject>* bad) : file_(std::move(file)), bad_(bad) {}

  Result<> read_document(const Value& document) {
    if (document.kind != Kind::kMap) {
      return fail(
          Error::misuse(at_line(document) + ": has to be an object, not " + std::string(kind_text(document.kind))));
    }
    const auto kind = text_member({&document, ""}, "kind");
    if (!kind) return fail(Error(kind.error()).context(at_line(document)));
    if (std::ranges::find(kListKinds, *kind) != kListKinds.end()) return read_list(document, *kind);
    return take_object(document, at_line(document) + ": ", "");
  }

  std::vector<NodeObject> take() { return std::move(objects_); }

 private:
  std::string at_line(const Value& value) const {
    return value.line > 0 ? file_ + ":" + std::to_string(value.line) : file_;
  }

  Result<> read_list(const Value& list, const std::string& kind) {
    const auto place = at_line(list) + ": " + kind;
    const auto metadata = member({&list, ""}, "metadata", Kind::kMap);
    if (!metadata) return fail(Error(metadata.error()).context(place));
    const auto next = text_member(*metadata, "continue");
    if (!next) return fail(Error(next.error()).context(place));
    if (!next->empty())
      return fail(Error::misuse(place + ": metadata.continue: is set: this is a part of the list only"));
    const auto items = elements({&list, ""}, "items", Kind::kMap);
    if (!items) return fail(Error(items.error()).context(place));
    for (const auto& item : *items) {
      if (auto read = take_object(*item.value, at_line(*item.value) + ": " + item.path + ": ", kind); !read)
        return read;
    }
    return {};
  }

  std::string where(std::string_view kind, const std::string& name) const {
    return file_ + ": " + std::string(kind) + "/" + name;
  }

  Result<> take_object(const Value& value, const std::string& place, std::string_view list_kind) {
    auto read = read_object(value, place, list_kind);
    if (read || bad_ == nullptr) return read;
    const auto kind = kind_of(value, list_kind);
    bad_->push_back({where(kind ? *kind : "object", name_or_unknown(value)), std::move(read.error())});
    return {};
  }

  // `place` ends in ": ".
  Result<> read_object(const Value& value, const std::string& place, std::string_view list_kind) {
    const auto kind = kind_of(value, list_kind);
    if (!kind) return fail(Error::misuse(place + kind.error().what()));
    const auto label = place + *kind + "/" + name_or_unknown(value);
    const auto api_version = text_member({&value, ""}, "apiVersion");
    if (!api_version) return fail(Error(api_version.error()).context(label));
    const auto type = object_kind(*kind, *api_version);
    if (!type) return fail(Error::misuse(place + type.error().what()));
    auto node = *type == ObjectKind::kNode ? read_node(value) : read_cilium_node(value);
    if (!node) return fail(std::move(node.error()).context(label));
    auto name = where(*kind, node->name);
    objects_.push_back({*type, *std::move(node), std::move(name)});
    return {};
  }

  static std::string name_or_unknown(const Value& object) {
    const auto* metadata = object.find("metadata");
    const auto* name = metadata == nullptr ? nullptr : metadata->find("name");
    return name != nullptr && name->kind == Kind::kString ? name->text : "(no name)";
  }

  std::string file_;
  std::vector<BadObject>* bad_;
  std::vector<NodeObject> objects_;
};

}  // namespace

Result<std::vector<NodeObject>> parse_node_objects(std::string_view content, DocumentFormat format,
                                                   const std::string& file, std::vector<BadObject>* bad) {
  const auto documents = parse_documents({content, format, file, kSkipNames});
  const bool blank = content.find_first_not_of(" \t\r\n") == std::string_view::npos;
  if (blank) return fail(Error::misuse(file + ": is empty"));
  if (!documents) return fail(documents.error());
  FileParser parser(file, bad);
  bool any = false;
  for (const auto& document : *documents) {
    if (document.kind == Kind::kNull) continue;  // between two "---"
    any = true;
    if (auto read = parser.read_document(document); !read) return fail(std::move(read.error()));
  }
  if (!any) return fail(Error::misuse(file + ": holds no object"));
  return parser.take();
}

}  // namespace sheath::state
