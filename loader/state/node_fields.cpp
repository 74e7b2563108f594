// SPDX-License-Identifier: Apache-2.0
#include "loader/state/node_fields.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

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

// An annotation's text; no value where there is none.
Result<Field> annotation(const Field& annotations, std::string_view name) {
  Field field{annotations.value == nullptr ? nullptr : annotations.value->find(name),
              annotations.path + "[" + std::string(name) + "]"};
  if (field.value != nullptr && field.value->kind != Kind::kString) return wrong_kind(field, Kind::kString);
  return field;
}

Result<> read_key(const Field& annotations, Node& node) {
  for (const auto name : {kKeyAnnotation, kOldKeyAnnotation}) {
    const auto field = annotation(annotations, name);
    if (!field) return fail(field.error());
    if (field->value == nullptr) continue;
    auto key = keys::PublicKey::parse(field->value->text);
    if (!key) return fail(std::move(key.error()).context(field->path));
    node.wireguard_key = *key;
    return {};
  }
  return {};
}

Result<> read_router_ips(const Field& annotations, Node& node) {
  for (const auto name : {kRouterIp4Annotation, kRouterIp6Annotation}) {
    const auto field = annotation(annotations, name);
    if (!field) return fail(field.error());
    if (field->value == nullptr) continue;
    auto address = parse_node_ip(field->value->text);
    if (!address) return fail(std::move(address.error()).context(field->path));
    add_once(node.router_ips, *address);
  }
  return {};
}

constexpr NumberRange kKeyIds{1, 15};

// "3=a,4=b" as {3: a, 4: b}.
using ByKeyId = std::map<std::uint8_t, std::string>;
Result<ByKeyId> list_by_key_id(const Field& annotations, std::string_view name) {
  const auto field = annotation(annotations, name);
  if (!field) return fail(field.error());
  ByKeyId out;
  std::string_view rest = field->value == nullptr ? std::string_view() : field->value->text;
  while (!rest.empty()) {
    const auto entry = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    const auto sign = entry.find('=');
    const auto id = parse_number(entry.substr(0, sign), kKeyIds);
    if (sign == std::string_view::npos || !id) return fail_at(*field, "has to be a list of ID=VALUE, ID from 1 to 15");
    if (!out.emplace(*id, entry.substr(sign + 1)).second) return fail_at(*field, "has an ID twice");
  }
  return out;
}

Result<std::uint32_t> parse_tag(const std::string& text) {
  std::uint32_t tag = 0;
  const auto* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, tag, 16);
  constexpr std::size_t kDigits = 7;
  if (error != std::errc{} || stopped != end || text.size() != kDigits || tag < 16) {
    return fail(Error::misuse("is not a tag of seven hex digits"));
  }
  return tag;
}

Result<> read_ipsec_sessions(const Field& annotations, Node& node) {
  const auto keys = list_by_key_id(annotations, kIpsecKeyAnnotation);
  const auto tags = list_by_key_id(annotations, kIpsecTagAnnotation);
  const auto psks = list_by_key_id(annotations, kIpsecPskAnnotation);
  for (const auto* list : {&keys, &tags, &psks}) {
    if (!*list) return fail(list->error());
  }
  const auto where = [&](std::string_view name, std::uint8_t id) {
    return annotations.path + "[" + std::string(name) + "]: key ID " + std::to_string(id);
  };
  for (const auto& [id, text] : *keys) {
    if (!tags->contains(id) || !psks->contains(id)) {
      return fail(Error::misuse(where(kIpsecKeyAnnotation, id) + ": has no SPI tag or pre-shared key ID beside it"));
    }
    auto key = keys::PublicKey::parse(text);
    if (!key) return fail(std::move(key.error()).context(where(kIpsecKeyAnnotation, id)));
    auto tag = parse_tag(tags->at(id));
    if (!tag) return fail(std::move(tag.error()).context(where(kIpsecTagAnnotation, id)));
    auto psk = parse_number(psks->at(id), kKeyIds);
    if (!psk) return fail(std::move(psk.error()).context(where(kIpsecPskAnnotation, id)));
    node.ipsec_sessions.push_back({id, *key, *tag, static_cast<std::uint8_t>(*psk)});
  }
  return {};
}

Result<> read_ipsec_key_id(const Field& annotations, Node& node) {
  const auto field = annotation(annotations, kIpsecKeyIdAnnotation);
  if (!field) return fail(field.error());
  if (field->value == nullptr) return {};
  auto id = parse_number(field->value->text, kKeyIds);
  if (!id) return fail(std::move(id.error()).context(field->path));
  node.ipsec_key_id = static_cast<std::uint8_t>(*id);
  return {};
}

Result<> read_node_encryption(const Field& annotations, Node& node) {
  const auto field = annotation(annotations, kNodeEncryptionAnnotation);
  if (!field) return fail(field.error());
  if (field->value == nullptr) return {};
  const auto& text = field->value->text;
  if (text != "true" && text != "false") return fail_at(*field, "has to be true or false");
  node.node_encryption = text == "true";
  return {};
}

Result<> read_annotations(const Field& metadata, Node& node) {
  const auto annotations = member(metadata, "annotations", Kind::kMap);
  if (!annotations) return fail(annotations.error());
  for (const auto read : {read_key, read_router_ips, read_ipsec_key_id, read_ipsec_sessions, read_node_encryption}) {
    if (auto done = read(*annotations, node); !done) return done;
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
  if (auto read = read_annotations(*metadata, node); !read) return fail(std::move(read.error()));
  return node;
}

// Entries of type InternalIP, and a CNI's router addresses; others (host names, external addresses) are not for us.
Result<> read_addresses(const Field& parent, std::string_view address_name, Node& node) {
  const auto entries = elements(parent, "addresses", Kind::kMap);
  if (!entries) return fail(entries.error());
  for (const auto& entry : *entries) {
    const auto type = required_text(entry, "type");
    if (!type) return fail(type.error());
    if (*type != kInternalIp && *type != kRouterIp) continue;
    const auto text = required_text(entry, address_name);
    if (!text) return fail(text.error());
    auto address = parse_node_ip(*text);
    if (!address) return fail(std::move(address.error()).context(path_of(entry, address_name)));
    add_once(*type == kRouterIp ? node.router_ips : node.node_ips, *address);
  }
  return {};
}

Result<> add_pod_cidr(const std::string& text, const std::string& path, Node& node) {
  auto cidr = parse_pod_cidr(text);
  if (!cidr) return fail(std::move(cidr.error()).context(path));
  node.pod_cidrs.push_back(*cidr);
  return {};
}

// In one pass: a node may have thousands.
void drop_repeats(std::vector<Cidr>& cidrs) {
  std::set<Cidr> seen;
  std::erase_if(cidrs, [&](const Cidr& cidr) { return !seen.insert(cidr).second; });
}

Result<> read_pod_cidrs(const Field& parent, Node& node) {
  const auto entries = elements(parent, "podCIDRs", Kind::kString);
  if (!entries) return fail(entries.error());
  for (const auto& entry : *entries) {
    if (auto added = add_pod_cidr(entry.value->text, entry.path, node); !added) return added;
  }
  drop_repeats(node.pod_cidrs);
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
