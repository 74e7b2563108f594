// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "loader/state/config_keys.hpp"
#include "loader/state/load_config.hpp"
#include "selftests/unit/temporary_folder.hpp"

using namespace sheath::state;
using sheath::test::TemporaryFolder;

namespace {

LoadedConfig load(const std::filesystem::path& file, std::vector<FlagValue> flags = {}) {
  auto loaded = load_config({file, std::move(flags)});
  REQUIRE_MESSAGE(loaded, loaded.error().what());
  return *std::move(loaded);
}

}  // namespace

TEST_CASE("config view: each line has its value and where it came from") {
  const TemporaryFolder folder;
  const auto file = folder.write("c.yaml", "nodeName: kind-worker\nwireguard:\n  listenPort: 4000\n");
  const auto yaml = config_yaml(load(file, {{"pod-devices", "lxc*"}, {"node-ips", "172.18.0.4,fd00::4"}}));
  for (const std::string& line :
       {"nodeName: kind-worker  # " + file.string() + ":1\n", std::string("mode: strict  # default\n"),
        std::string("podDevices: [\"lxc*\"]  # --pod-devices\n"), std::string("devices: []  # default\n"),
        std::string("nodeIPs: [\"172.18.0.4\", \"fd00::4\"]  # --node-ips\n"),
        "wireguard:\n  listenPort: 4000  # " + file.string() + ":3\n",
        std::string("  keyRotationDuration: 5m  # default\n"), std::string("fastPath: false  # default\n")}) {
    CAPTURE(line);
    CHECK(yaml.find(line) != std::string::npos);
  }
}

TEST_CASE("config view: what it prints can be loaded again and means the same") {
  const TemporaryFolder folder;
  const auto before = load(folder.write("c.yaml", ""), {{"node-name", "1"},
                                                        {"pod-devices", "*,a?,[x],true,null,#,-"},
                                                        {"devices", "eth0.1,1e5,'"},
                                                        {"pod-cidrs", "10.1.0.0/16,fd00::/64"},
                                                        {"bpffs", "/a b: #{}"},
                                                        {"node-encryption-opt-out-labels", "a=b,\"q\""}});
  const auto after = load(folder.write("again.yaml", config_yaml(before)));
  for (const auto& key : config_keys()) {
    CAPTURE(key.path);
    CHECK(key.get(after.config) == key.get(before.config));
  }
}

TEST_CASE("config view: JSON has types, sections and origins") {
  const TemporaryFolder folder;
  const auto file = folder.write("c.yaml", "nodeName: n\ndevices: [eth0]\n");
  const auto text = config_json(load(file, {{"mode", "permissive"}}));
  CHECK(text.ends_with("}\n"));
  const auto json = nlohmann::json::parse(text);
  CHECK(json.at("file") == file.string());
  CHECK(json.at("config").at("nodeName") == "n");
  CHECK(json.at("config").at("devices") == nlohmann::json::array({"eth0"}));
  CHECK(json.at("config").at("fastPath") == false);
  CHECK(json.at("config").at("wireguard").at("listenPort") == 51871);
  CHECK(json.at("config").at("ipsec").at("rotateEvery") == "8h");
  CHECK(json.at("origins").at("mode") == "--mode");
  CHECK(json.at("origins").at("devices") == file.string() + ":2");
  CHECK(json.at("origins").at("wireguard.listenPort") == "default");
}

TEST_CASE("config view: a flag that is not UTF-8 does no harm") {
  const TemporaryFolder folder;
  const auto loaded = load(folder.write("c.yaml", "nodeName: n\n"), {{"bpffs", "/\xff"}});
  CHECK(config_json(loaded).find("/\xef\xbf\xbd") != std::string::npos);
}
