// SPDX-License-Identifier: Apache-2.0
#include "loader/state/node_fields.hpp"

#include <algorithm>

#include "loader/state/object_names.hpp"
#include "loader/state/value_parsers.hpp"

namespace sheath::state {
namespace {

using Kind = Value::Kind;

std::unexpected<Error> fail_at(const Field& field, std::string_view reason) {
  return fail(Error::misuse(field.path + ": " + std::string(reason)));
}

std::string path_of(const Field& parent, std::string_view name) {
  return parent.path.empty() ? std::string(name) : parent.path + "." + std::string(name);
}

std::unexpected<Error> wrong_kind(const Field& field, Kind wanted) {
  return fail_at(field,
                 "has to be " + std::string(kind_text(wanted)) + ", not " + std::string(kind_text(field.value->kind)));
}

template <typename T>
void add_once(std::vector<T>& all, const T& value) {
  if (std::ranges::find(all, value) == all.end()) all.push_back(value);
}

Result<std::string> required_text(const Field& parent, std::string_view name) {
  auto text = text_member(parent, name);
  if (text && text->empty()) return fail_at({nullptr, path_of(parent, name)}, "is missing");
  return text;
}

Result<> read_labels(const Field& metadata, Node& node) {
  const auto labels = member(metadata, "labels", Kind::kMap);
  if (!labels) return fail(labels.error());
  if (labels->value == nullptr) return {};
  for (const auto& label : labels->value->members) {
    const Field field{&label.value, labels->path + "[" + label.name + "]"};
    if (label.value.kind != Kind::kString && label.value.kind != Kind::kNull) return wrong_kind(field, Kind::kString);
    const bool is_ours = label.name == kManagedByLabel && label.value.text == kManagedBySheath;
    if (!is_ours) node.labels.emplace(label.name, label.value.text);
  }
  return {};
}

Result<> read_key(const Field& metadata, Node& node) {
  const auto annotations = member(metadata, "annotations", Kind::kMap);
  if (!annotations) return fail(annotations.error());
  if (annotations->value == nullptr) return {};
  for (const auto name : {kKeyAnnotation, kOldKeyAnnotation}) {
    const auto* value = annotations->value->find(name);
    if (value == nullptr) continue;
    const Field field{value, annotations->path + "[" + std::string(name) + "]"};
    if (value->kind != Kind::kString) return wrong_kind(field, Kind::kString);
    auto key = keys::PublicKey::parse(value->text);
    if (!key) return fail(std::move(key.error()).context(field.path));
    node.wireguard_key = *key;
    return {};
  }
  return {};
}

Result<Node> read_metadata(const Field& object) {
  const auto metadata = member(object, "metadata", Kind::kMap);
  if (!metadata) return fail(metadata.error());
  const auto name = required_text({metadata->value, "metadata"}, "name");
  if (!name) return fail(name.error());
  if (auto checked = parse_node_name(*name); !checked) return fail(std::move(checked.error()).context("metadata.name"));
  Node node;
  node.name = *name;
  if (auto read = read_labels(*metadata, node); !read) return fail(std::move(read.error()));
  if (auto read = read_key(*metadata, node); !read) return fail(std::move(read.error()));
  return node;
}

// Entries of type InternalIP; others (host names, external addresses, router IPs) are not where nodes send.
Result<> read_addresses(const Field& parent, std::string_view address_name, Node& node) {
  const auto entries = elements(parent, "addresses", Kind::kMap);
  if (!entries) return fail(entries.error());
  for (const auto& entry : *entries) {
    const auto type = required_text(entry, "type");
    if (!type) return fail(type.error());
    if (*type != kInternalIp) continue;
    const auto text = required_text(entry, address_name);
    if (!text) return fail(text.error());
    auto address = parse_node_ip(*text);
    if (!address) return fail(std::move(address.error()).context(path_of(entry, address_name)));
    add_once(node.node_ips, *address);
  }
  return {};
}

Result<> add_pod_cidr(const std::string& text, const std::string& path, Node& node) {
  auto cidr = parse_pod_cidr(text);
  if (!cidr) return fail(std::move(cidr.error()).context(path));
  add_once(node.pod_cidrs, *cidr);
  return {};
}

Result<> read_pod_cidrs(const Field& parent, Node& node) {
  const auto entries = elements(parent, "podCIDRs", Kind::kString);
  if (!entries) return fail(entries.error());
  for (const auto& entry : *entries) {
    if (auto added = add_pod_cidr(entry.value->text, entry.path, node); !added) return added;
  }
  return {};
}

}  // namespace

Result<Field> member(const Field& parent, std::string_view name, Kind kind) {
  Field field{parent.value == nullptr ? nullptr : parent.value->find(name), path_of(parent, name)};
  if (field.value != nullptr && field.value->kind != kind) return wrong_kind(field, kind);
  return field;
}

Result<std::string> text_member(const Field& parent, std::string_view name) {
  const auto field = member(parent, name, Kind::kString);
  if (!field) return fail(field.error());
  return field->value == nullptr ? std::string() : field->value->text;
}

Result<std::vector<Field>> elements(const Field& parent, std::string_view name, Kind kind) {
  const auto list = member(parent, name, Kind::kList);
  if (!list) return fail(list.error());
  std::vector<Field> out;
  if (list->value == nullptr) return out;
  for (const auto& item : list->value->items) {
    Field field{&item, list->path + "[" + std::to_string(out.size()) + "]"};
    if (item.kind != kind) return wrong_kind(field, kind);
    out.push_back(std::move(field));
  }
  return out;
}

Result<Node> read_node(const Value& object) {
  const Field root{&object, ""};
  auto node = read_metadata(root);
  if (!node) return node;
  const auto spec = member(root, "spec", Kind::kMap);
  if (!spec) return fail(spec.error());
  const auto first = text_member(*spec, "podCIDR");
  if (!first) return fail(first.error());
  if (!first->empty()) {
    if (auto added = add_pod_cidr(*first, "spec.podCIDR", *node); !added) return fail(std::move(added.error()));
  }
  if (auto read = read_pod_cidrs(*spec, *node); !read) return fail(std::move(read.error()));
  const auto status = member(root, "status", Kind::kMap);
  if (!status) return fail(status.error());
  if (auto read = read_addresses(*status, "address", *node); !read) return fail(std::move(read.error()));
  return node;
}

Result<Node> read_cilium_node(const Value& object) {
  const Field root{&object, ""};
  auto node = read_metadata(root);
  if (!node) return node;
  const auto spec = member(root, "spec", Kind::kMap);
  if (!spec) return fail(spec.error());
  if (auto read = read_addresses(*spec, "ip", *node); !read) return fail(std::move(read.error()));
  const auto ipam = member(*spec, "ipam", Kind::kMap);
  if (!ipam) return fail(ipam.error());
  if (auto read = read_pod_cidrs(*ipam, *node); !read) return fail(std::move(read.error()));
  return node;
}

}  // namespace sheath::state
