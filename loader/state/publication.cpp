// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <nlohmann/json.hpp>

#include "loader/state/node_object.hpp"
#include "loader/state/object_names.hpp"

namespace sheath::state {
namespace {

std::string tag_text(std::uint32_t tag) {
  char text[9];
  std::snprintf(text, sizeof text, "%07x", tag);
  return text;
}

// "3=a,4=b"
template <typename Value>
std::string by_key_id(const Node& node, Value value) {
  std::string out;
  for (const auto& session : node.ipsec_sessions) {
    out += (out.empty() ? "" : ",") + std::to_string(session.generation) + "=" + value(session);
  }
  return out;
}

}  // namespace

std::string published_object(const Node& node) {
  using Json = nlohmann::ordered_json;
  Json metadata{{"name", node.name}, {"labels", {{kManagedByLabel, kManagedBySheath}}}};
  auto annotations = Json::object();
  if (node.wireguard_key) annotations[kKeyAnnotation] = node.wireguard_key->text();
  if (node.node_encryption.value_or(false)) annotations[kNodeEncryptionAnnotation] = "true";
  if (node.ipsec_key_id) annotations[kIpsecKeyIdAnnotation] = std::to_string(*node.ipsec_key_id);
  if (!node.ipsec_sessions.empty()) {
    annotations[kIpsecKeyAnnotation] = by_key_id(node, [](const auto& session) { return session.public_key.text(); });
    annotations[kIpsecTagAnnotation] = by_key_id(node, [](const auto& session) { return tag_text(session.tag); });
    annotations[kIpsecPskAnnotation] =
        by_key_id(node, [](const auto& session) { return std::to_string(session.psk_id); });
  }
  if (!annotations.empty()) metadata["annotations"] = annotations;

  auto addresses = Json::array();
  for (const auto& address : node.node_ips) addresses.push_back({{"type", kInternalIp}, {"ip", address.text()}});
  for (const auto& address : node.router_ips) addresses.push_back({{"type", kRouterIp}, {"ip", address.text()}});
  auto cidrs = Json::array();
  for (const auto& cidr : node.pod_cidrs) cidrs.push_back(cidr.text());

  const Json object{{"apiVersion", "cilium.io/v2"},
                    {"kind", "CiliumNode"},
                    {"metadata", metadata},
                    {"spec", {{"addresses", addresses}, {"ipam", {{"podCIDRs", cidrs}}}}}};
  return object.dump(2) + "\n";
}

}  // namespace sheath::state
