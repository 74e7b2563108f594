// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "loader/state/config_keys.hpp"
#include "loader/state/load_config.hpp"
#include "selftests/unit/temporary_folder.hpp"

using namespace sheath::state;
using sheath::test::TemporaryFolder;

namespace {

struct Loaded {
  sheath::Result<LoadedConfig> result;
  std::string file;  // its path

  const Config& config() const {
    REQUIRE_MESSAGE(result, result.error().what());
    return result->config;
  }
  // The error, with the file's path as FILE.
  std::string error() const {
    if (result) return "";
    auto text = result.error().what();
    if (const auto at = text.find(file); at != std::string::npos) text.replace(at, file.size(), "FILE");
    return text;
  }
  std::string hint() const { return result ? "" : result.error().hint(); }
};

Loaded load(std::string_view yaml, std::vector<FlagValue> flags = {}) {
  const TemporaryFolder folder;
  const auto file = folder.write("config.yaml", yaml);
  return {load_config({file, std::move(flags)}), file.string()};
}

}  // namespace

TEST_CASE("configuration: an empty file is the defaults") {
  for (const char* text : {"", "\n", "# a comment\n", "---\n", "{}"}) {
    CAPTURE(text);
    const auto loaded = load(text, {{"node-name", "n"}});
    CHECK(loaded.config().encryption == Encryption::kWireguard);
    CHECK(loaded.config().mode == Mode::kStrict);
    CHECK(loaded.config().wireguard.listen_port == 51871);
    CHECK(loaded.config().wireguard.private_key_file == "/var/lib/sheath/wireguard.key");
    CHECK(loaded.config().node_encryption_opt_out_labels.size() == 1);
    CHECK(origin_text(*loaded.result, "mode") == "default");
  }
}

TEST_CASE("configuration: the node is named after the host, in lower case") {
  const auto loaded = load("");
  char host[256] = {};
  REQUIRE(gethostname(host, sizeof host - 1) == 0);
  std::string name(host);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  CHECK(loaded.config().node_name == name);
}

TEST_CASE("configuration: every key is read from the file") {
  const auto loaded = load(R"(nodeName: kind-worker
encryption: ipsec
nodeEncryption: true
backstop: false
nodeEncryptionOptOutLabels: [a/b, c=d]
mode: permissive
devices: [eth0, eth1]
fastPath: true
fastPathForce: true
podDevices: ["lxc*"]
clusterPodCIDRs: [10.244.0.0/16, "fd00:10:244::/56"]
nodeIPs: [172.18.0.4, "fd00:172:18::4"]
podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]
routerIPs: [10.244.1.247]
routing: vxlan
delivery: uplink
nodes: {source: etcd, path: /n}
wireguard: {listenPort: 1, privateKeyFile: /k, persistentKeepalive: 25}
ipsec: {keyFile: /p, keyRotationDuration: 90s, rotateEvery: 1h30m, replayWindow: 4096}
agent: {resync: 10s}
metrics: {listen: "[::1]:80", textfile: /t}
paths: {bpffs: /b, run: /r, state: /s}
)");
  const auto& config = loaded.config();
  CHECK(config.node_name == "kind-worker");
  CHECK(config.encryption == Encryption::kIpsec);
  CHECK(config.node_encryption);
  CHECK(config.node_encryption_opt_out_labels == std::vector<std::string>{"a/b", "c=d"});
  CHECK(config.mode == Mode::kPermissive);
  CHECK(config.devices == std::vector<std::string>{"eth0", "eth1"});
  CHECK(config.fast_path);
  CHECK(config.fast_path_force);
  CHECK(config.pod_devices == std::vector<std::string>{"lxc*"});
  CHECK(config.cluster_pod_cidrs.at(1).text() == "fd00:10:244::/56");
  CHECK(config.node_ips.at(0).text() == "172.18.0.4");
  CHECK(config.pod_cidrs.at(1).text() == "fd00:10:244:1::/64");
  CHECK(config.router_ips.at(0).text() == "10.244.1.247");
  CHECK(config.routing == Routing::kVxlan);
  CHECK(config.delivery == Delivery::kUplink);
  CHECK(config.nodes.source == "etcd");
  CHECK(config.nodes.path == "/n");
  CHECK(config.wireguard.listen_port == 1);
  CHECK(config.wireguard.private_key_file == "/k");
  CHECK(config.wireguard.persistent_keepalive == 25);
  CHECK(config.ipsec.key_file == "/p");
  CHECK(config.ipsec.key_rotation_duration.count() == 90);
  CHECK(config.ipsec.rotate_every.count() == 5400);
  CHECK(config.ipsec.replay_window == 4096);
  CHECK(config.agent.resync.count() == 10);
  CHECK(config.metrics.listen == "[::1]:80");
  CHECK(config.metrics.textfile == "/t");
  CHECK(config.paths.bpffs == "/b");
  CHECK(config.paths.run == "/r");
  CHECK(config.paths.state == "/s");
  for (const auto& key : config_keys()) {
    CAPTURE(key.path);
    CHECK(loaded.result->origins.find(key.path)->second.kind == Origin::kFile);
  }
}

TEST_CASE("configuration: each bad file gets one line with file, line, key and reason") {
  struct Case {
    std::string yaml;
    const char* error;
    const char* hint;
  };
  const Case cases[] = {
      {"mode: strict\nnodename: x\n", "FILE:2: unknown key \"nodename\"", "did you mean \"nodeName\"?"},
      {"wireguard:\n  port: 1\n  listenPrt: 2\n", "FILE:2: unknown key \"wireguard.port\"", ""},
      {"wireguard:\n  listenPrt: 2\n", "FILE:2: unknown key \"wireguard.listenPrt\"", "did you mean \"listenPort\"?"},
      {"listenPort: 2\n", "FILE:1: unknown key \"listenPort\"", "did you mean \"wireguard.listenPort\"?"},
      {"wireguard.listenPort: 2\n", "FILE:1: unknown key \"wireguard.listenPort\"",
       "write wireguard: with listenPort: below it"},
      {"kubeconfig: /x\n", "FILE:1: unknown key \"kubeconfig\"", ""},
      {"mode: strict\n\nmode: strict\n", "FILE:3: \"mode\" is given twice", ""},
      {"nodes: {path: /a, path: /b}\n", "FILE:1: \"path\" is given twice", ""},
      {"mode: loose\n", "FILE:1: mode: \"loose\" is none of: strict, permissive", ""},
      {"mode: strcit\n", "FILE:1: mode: \"strcit\" is none of: strict, permissive", "did you mean \"strict\"?"},
      {"encryption: true\n", "FILE:1: encryption: \"true\" is none of: wireguard, ipsec, none", ""},
      {"mode: [strict]\n", "FILE:1: mode: has to be one value, not a list", ""},
      {"mode:\n", "FILE:1: mode: has to be one value, not nothing", ""},
      {"fastPath: yes\n", "FILE:1: fastPath: \"yes\" is neither true nor false", ""},
      {"devices: eth0\n", "FILE:1: devices: has to be a list, not a text", "devices: [eth0]"},
      {"devices:\n", "FILE:1: devices: has to be a list, not nothing", ""},
      {"devices:\n- eth0\n- {a: b}\n", "FILE:3: devices[1]: has to be one value, not a map", ""},
      {"devices:\n- eth0\n- eth/1\n",
       "FILE:3: devices[1]: \"eth/1\" is not a device name: it holds '/', ':' or white space", ""},
      {"devices: [eth0, eth0]\n", "FILE:1: devices[1]: \"eth0\" is given twice", ""},
      {"podCIDRs: [10.244.1.0/24, 10.244.2.7/24]\n",
       "FILE:1: podCIDRs[1]: \"10.244.2.7/24\" is not a CIDR: host bits are set", "did you mean 10.244.2.0/24?"},
      {"clusterPodCIDRs:\n  - 10.244.0.0\n",
       "FILE:2: clusterPodCIDRs[0]: \"10.244.0.0\" is not a CIDR: it has no /length", ""},
      {"nodeIPs: [172.18.0.300]\n", "FILE:1: nodeIPs[0]: \"172.18.0.300\" is not an IPv4 or IPv6 address", ""},
      {"wireguard: {listenPort: 0}\n", "FILE:1: wireguard.listenPort: 0 is out of range (1..65535)", ""},
      {"wireguard: {listenPort: 70000}\n", "FILE:1: wireguard.listenPort: 70000 is out of range (1..65535)", ""},
      {"wireguard: {listenPort: eth0}\n", "FILE:1: wireguard.listenPort: \"eth0\" is not a number (1..65535)", ""},
      {"agent: {resync: 0s}\n", "FILE:1: agent.resync: 0s is out of range (1s..8760h)", ""},
      {"metrics: {listen: localhost:80}\n", "FILE:1: metrics.listen: \"localhost:80\" is no address and port",
       "such as 127.0.0.1:9964 or [::1]:9964; or off"},
      {"metrics: {textfile: t}\n", "FILE:1: metrics.textfile: \"t\" is not an absolute path", ""},
      {"wireguard: {persistentKeepalive: 65536}\n",
       "FILE:1: wireguard.persistentKeepalive: 65536 is out of range (0..65535)", ""},
      {"wireguard: {privateKeyFile: wg.key}\n", "FILE:1: wireguard.privateKeyFile: \"wg.key\" is not an absolute path",
       ""},
      {"ipsec: {replayWindow: 8192}\n", "FILE:1: ipsec.replayWindow: 8192 is out of range (32..4096)", ""},
      {"ipsec: {rotateEvery: 8}\n", "FILE:1: ipsec.rotateEvery: \"8\" is not a duration, such as 30s, 5m or 8h", ""},
      {"ipsec: {rotateEvery: 1s}\n", "FILE:1: ipsec.rotateEvery: 1s is out of range (1m..8760h)", ""},
      {"wireguard: 51871\n", "FILE:1: wireguard: has to be a map of keys, not a number", ""},
      {"paths:\n", "FILE:1: paths: has to be a map of keys, not nothing", ""},
      {"nodeName: Kind_Worker\n",
       "FILE:1: nodeName: \"Kind_Worker\" is not a node name: lower-case letters, digits, '-' and '.' (RFC 1123)", ""},
      {"- mode\n", "FILE:1: has to be a map of keys, not a list", ""},
      {"strict\n", "FILE:1: has to be a map of keys, not a text", ""},
      {"mode: strict\n---\nmode: strict\n", "FILE: holds more than one YAML document", ""},
      {"mode: &m strict\ndelivery: *m\n", "FILE:2: aliases (*name) are not supported", ""},
      {"mode: !!str strict\n", "FILE:1: tags (!name) are not supported", ""},
      {"mode: [strict\n", "FILE:2: is not YAML: end of sequence flow not found", ""},
      {"mode: \xff\n", "FILE:1: is not UTF-8", ""},
      {"[a]: b\n", "FILE:1: a key has to be a word", ""},
  };
  for (const auto& c : cases) {
    CAPTURE(c.yaml);
    const auto loaded = load(c.yaml, {{"node-name", "n"}});
    CHECK(loaded.error() == std::string(c.error));
    CHECK(loaded.hint() == std::string(c.hint));
    if (!loaded.result) CHECK(loaded.result.error().kind() == sheath::ErrorKind::kMisuse);
  }
}

TEST_CASE("configuration: a file that is named has to be there") {
  const auto loaded = load_config({"/nowhere/config.yaml", {}});
  REQUIRE(!loaded);
  CHECK(loaded.error().what() == "configuration: read /nowhere/config.yaml: No such file or directory (ENOENT)");
  CHECK(loaded.error().kind() == sheath::ErrorKind::kMisuse);
}

TEST_CASE("configuration: flags win over the file, and a list flag replaces the file's list") {
  const auto loaded = load("mode: permissive\ndevices: [eth0, eth1]\nfastPath: false\nwireguard: {listenPort: 1}\n",
                           {{"mode", "strict"},
                            {"devices", "eth2,eth3"},
                            {"devices", "eth4"},
                            {"fast-path", ""},
                            {"node-name", "n"},
                            {"pod-cidrs", ""}});
  const auto& config = loaded.config();
  CHECK(config.mode == Mode::kStrict);
  CHECK(config.devices == std::vector<std::string>{"eth2", "eth3", "eth4"});
  CHECK(config.fast_path);
  CHECK(config.wireguard.listen_port == 1);
  CHECK(config.pod_cidrs.empty());
  CHECK(origin_text(*loaded.result, "mode") == "--mode");
  CHECK(origin_text(*loaded.result, "wireguard.listenPort") == loaded.file + ":4");
  CHECK(origin_text(*loaded.result, "routing") == "default");
}

TEST_CASE("configuration: a bad flag is named") {
  CHECK(load("", {{"wireguard-listen-port", "x"}}).error() ==
        "--wireguard-listen-port: \"x\" is not a number (1..65535)");
  CHECK(load("", {{"pod-cidrs", "10.244.1.0/24,10.1"}}).error() ==
        "--pod-cidrs[1]: \"10.1\" is not a CIDR: it has no /length");
  const auto unknown = load("", {{"nodename", "x"}});
  CHECK(unknown.error() == "unknown flag --nodename");
  CHECK(unknown.hint() == "did you mean \"--node-name\"?");
}

TEST_CASE("configuration: nodes with state folders of their own have keys of their own") {
  CHECK(load("paths: {state: /s}\nnodeName: n\n").config().wireguard.private_key_file == "/s/wireguard.key");
  CHECK(load("nodeName: n\n", {{"state-dir", "/t"}}).config().wireguard.private_key_file == "/t/wireguard.key");
  CHECK(load("nodeName: n\nwireguard: {privateKeyFile: /k}\n", {{"state-dir", "/t"}})
            .config()
            .wireguard.private_key_file == "/k");
}

TEST_CASE("configuration: what this version cannot do is refused where it is asked for") {
  struct Case {
    const char* yaml;
    const char* error;
  };
  const Case cases[] = {
      {"nodes:\n  source: kubernetes\n", ":2: nodes.source: kubernetes is not supported by this version"},
  };
  for (const auto& c : cases) {
    const auto loaded = load(c.yaml, {{"node-name", "n"}});
    REQUIRE(loaded.result);
    const auto checked = check_supported(*loaded.result);
    REQUIRE(!checked);
    CHECK(checked.error().what() == loaded.file + c.error);
    CHECK(checked.error().kind() == sheath::ErrorKind::kMisuse);
  }
  const auto by_flag = load("", {{"nodes-source", "kubernetes"}, {"node-name", "n"}});
  CHECK(check_supported(*by_flag.result).error().what() ==
        "--nodes-source: nodes.source: kubernetes is not supported by this version");
  CHECK(check_supported(*load("encryption: none\n", {{"node-name", "n"}}).result));
}

TEST_CASE("configuration: the table names each key once, and its defaults read back") {
  std::set<std::string_view> paths;
  std::set<std::string_view> flags;
  for (const auto& key : config_keys()) {
    CAPTURE(key.path);
    CHECK(paths.insert(key.path).second);
    CHECK(flags.insert(key.flag).second);
    CHECK(!key.help.empty());
    CHECK((key.shape == ValueShape::kList) == (key.clear != nullptr));
    Config config;
    if (key.clear != nullptr) key.clear(config);
    for (const auto& text : key.get(Config{})) {
      if (!text.empty()) CHECK(key.set(config, text));
    }
    CHECK(key.get(config) == key.get(Config{}));
    CHECK(find_config_key(key.path) == &key);
    CHECK(find_config_flag(key.flag) == &key);
  }
  CHECK(find_config_key("nodes") == nullptr);
  CHECK(find_config_flag("") == nullptr);
}
