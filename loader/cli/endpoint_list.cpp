// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "loader/cli/commands.hpp"
#include "loader/engine/status.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string mac(const plan::MacAddress& bytes) {
  std::uint8_t copy[6];
  std::ranges::copy(bytes, copy);
  return mac_text(copy);
}

std::string endpoints_text(const engine::Status& status) {
  Table table({{"ADDRESS"}, {"DEVICE"}, {"IFINDEX", Table::Align::kRight}, {"POD MAC"}});
  for (const auto& endpoint : status.endpoints) {
    table.add({endpoint.address.text(), endpoint.device.empty() ? "(gone)" : endpoint.device,
               std::to_string(endpoint.ifindex), mac(endpoint.pod_mac)});
  }
  return table.text();
}

std::string endpoints_json(const engine::Status& status) {
  Json list = Json::array();
  for (const auto& endpoint : status.endpoints) {
    list.push_back({{"address", endpoint.address.text()},
                    {"device", endpoint.device.empty() ? Json() : Json(endpoint.device)},
                    {"ifindex", endpoint.ifindex},
                    {"pod_mac", mac(endpoint.pod_mac)}});
  }
  return json_text(list);
}

Result<Outcome> run_endpoint_list(const Invocation& invocation) {
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  const auto status = engine::observe_status(loaded->config);
  if (!status) return fail(status.error());
  if (status->endpoints.empty()) warn("no endpoints: without the fast path the host stack delivers to pods");
  return Outcome{invocation.json() ? endpoints_json(*status) : endpoints_text(*status)};
}

}  // namespace

Command endpoint_list_command() {
  return {.name = "endpoint list",
          .summary = "this node's pods that the fast path delivers to",
          .arguments = "",
          .details =
              "Shows the map `endpoints`: a pod's address, the host side of its device, and its MAC address. It is\n"
              "empty without fastPath: then the host stack finds the pods.",
          .options = {},
          .examples = {{"sheath endpoint list", ""}, {"sheath endpoint list -o json", ""}},
          .run = run_endpoint_list};
}

}  // namespace sheath::cli
