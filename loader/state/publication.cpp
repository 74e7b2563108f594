// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "loader/state/node_object.hpp"
#include "loader/state/object_names.hpp"

namespace sheath::state {

std::string published_object(const Node& node) {
  using Json = nlohmann::ordered_json;
  Json metadata{{"name", node.name}, {"labels", {{kManagedByLabel, kManagedBySheath}}}};
  if (node.wireguard_key) metadata["annotations"] = {{kKeyAnnotation, node.wireguard_key->text()}};

  auto addresses = Json::array();
  for (const auto& address : node.node_ips) addresses.push_back({{"type", kInternalIp}, {"ip", address.text()}});
  auto cidrs = Json::array();
  for (const auto& cidr : node.pod_cidrs) cidrs.push_back(cidr.text());

  const Json object{{"apiVersion", "cilium.io/v2"},
                    {"kind", "CiliumNode"},
                    {"metadata", metadata},
                    {"spec", {{"addresses", addresses}, {"ipam", {{"podCIDRs", cidrs}}}}}};
  return object.dump(2) + "\n";
}

}  // namespace sheath::state
