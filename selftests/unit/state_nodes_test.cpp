// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include "loader/state/node_object.hpp"

using namespace sheath::state;

namespace {

constexpr const char* kKey = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

// As `kubectl get node -o json` prints it, shortened.
constexpr const char* kNode = R"({"apiVersion": "v1", "kind": "Node",
  "metadata": {"name": "kind-worker", "labels": {"kubernetes.io/os": "linux", "empty": ""},
               "annotations": {"node.alpha.kubernetes.io/ttl": "0"}},
  "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:10:244:1::/64"]},
  "status": {"addresses": [{"address": "172.18.0.4", "type": "InternalIP"},
                           {"address": "fd00:172:18::4", "type": "InternalIP"},
                           {"address": "203.0.113.7", "type": "ExternalIP"},
                           {"address": "kind-worker", "type": "Hostname"}],
             "images": [{"names": ["x"], "sizeBytes": 1}]}})";

constexpr const char* kCiliumNode = R"(apiVersion: cilium.io/v2
kind: CiliumNode
metadata:
  name: kind-worker2
  annotations:
    network.cilium.io/wg-pub-key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=
spec:
  addresses:
  - {ip: 172.18.0.5, type: InternalIP}
  - {ip: 10.244.2.1, type: CiliumInternalIP}
  ipam:
    podCIDRs: [10.244.2.0/24]
)";

sheath::Result<std::vector<NodeObject>> json(std::string_view text) {
  return parse_node_objects(text, DocumentFormat::kJson, "f.json");
}

sheath::Result<std::vector<NodeObject>> yaml(std::string_view text) {
  return parse_node_objects(text, DocumentFormat::kYaml, "f.yaml");
}

template <typename T>
std::string texts(const std::vector<T>& values) {
  std::string out;
  for (const auto& value : values) out += value.text() + " ";
  return out;
}

std::string refusal(const sheath::Result<std::vector<NodeObject>>& result) {
  return result ? "" : result.error().what();
}

// A Node object with these members beside its kind.
std::string node_with(const std::string& members) {
  return R"({"kind": "Node", )" + members + "}";
}
std::string named_with(const std::string& members) {
  return node_with(R"("metadata": {"name": "n"}, )" + members);
}

}  // namespace

TEST_CASE("node object: a Node has its internal addresses, pod CIDRs and labels") {
  const auto objects = json(kNode);
  REQUIRE_MESSAGE(objects, refusal(objects));
  REQUIRE(objects->size() == 1);
  const auto& object = objects->front();
  CHECK(object.kind == ObjectKind::kNode);
  CHECK(object.where == "f.json: Node/kind-worker");
  CHECK(object.node.name == "kind-worker");
  CHECK(texts(object.node.node_ips) == "172.18.0.4 fd00:172:18::4 ");
  CHECK(texts(object.node.pod_cidrs) == "10.244.1.0/24 fd00:10:244:1::/64 ");
  CHECK(!object.node.wireguard_key);
  CHECK(object.node.labels.at("kubernetes.io/os") == "linux");
  CHECK(object.node.labels.at("empty").empty());
}

TEST_CASE("node object: pod CIDRs keep their order, and one that is there again counts once") {
  const auto objects = json(named_with(
      R"("spec": {"podCIDR": "10.9.0.0/24", "podCIDRs": ["fd00::/64", "10.9.0.0/24", "10.1.0.0/24", "fd00::/64"]})"));
  REQUIRE_MESSAGE(objects, refusal(objects));
  CHECK(texts(objects->front().node.pod_cidrs) == "10.9.0.0/24 fd00::/64 10.1.0.0/24 ");
}

TEST_CASE("node object: a CiliumNode has its key, and its router IP is not a node IP") {
  const auto objects = yaml(kCiliumNode);
  REQUIRE_MESSAGE(objects, refusal(objects));
  const auto& node = objects->at(0).node;
  CHECK(objects->at(0).kind == ObjectKind::kCiliumNode);
  CHECK(texts(node.node_ips) == "172.18.0.5 ");
  CHECK(texts(node.pod_cidrs) == "10.244.2.0/24 ");
  REQUIRE(node.wireguard_key);
  CHECK(node.wireguard_key->text() == kKey);
}

TEST_CASE("node object: the annotation's old name is read too, and the new one wins") {
  const auto with = [](const std::string& annotations) {
    return json(node_with(R"("metadata": {"name": "n", "annotations": {)" + annotations + "}}"));
  };
  const std::string key(kKey);
  const auto old = with(R"("io.cilium.network.wg-pub-key": ")" + key + "\"");
  REQUIRE_MESSAGE(old, refusal(old));
  CHECK(old->at(0).node.wireguard_key->text() == kKey);
  const auto both = with(R"("io.cilium.network.wg-pub-key": "bad", "network.cilium.io/wg-pub-key": ")" + key + "\"");
  REQUIRE_MESSAGE(both, refusal(both));
  CHECK(both->at(0).node.wireguard_key->text() == kKey);
}

TEST_CASE("node object: whether the node says that it encrypts its node traffic") {
  const auto with = [](const std::string& value) {
    return json(node_with(R"("metadata": {"name": "n", "annotations": {"sheath.io/node-encryption": )" + value + "}}"));
  };
  CHECK(with(R"("true")")->at(0).node.node_encryption == true);
  CHECK(with(R"("false")")->at(0).node.node_encryption == false);
  CHECK(refusal(with(R"("yes")")) ==
        "f.json: Node/n: metadata.annotations[sheath.io/node-encryption]: has to be true or false");
  Node node;
  node.name = "n";
  CHECK(published_object(node).find("node-encryption") == std::string::npos);
  node.node_encryption = true;
  CHECK(json(published_object(node))->at(0).node.node_encryption == true);
}

TEST_CASE("node object: lists, typed lists without item kinds, and several YAML documents") {
  const std::string list = std::string(R"({"kind": "List", "apiVersion": "v1", "items": [)") + kNode + "]}";
  REQUIRE(json(list));
  CHECK(json(list)->size() == 1);
  const auto typed =
      json(R"({"kind": "NodeList", "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]})");
  REQUIRE_MESSAGE(typed, refusal(typed));
  CHECK(typed->size() == 2);
  CHECK(typed->at(1).node.name == "b");
  const auto cilium = json(R"({"kind": "CiliumNodeList", "items": [{"metadata": {"name": "a"}}]})");
  REQUIRE_MESSAGE(cilium, refusal(cilium));
  CHECK(cilium->at(0).kind == ObjectKind::kCiliumNode);
  const auto documents = yaml("---\n" + std::string(kCiliumNode) + "---\n---\n" + kNode + "\n");
  REQUIRE_MESSAGE(documents, refusal(documents));
  CHECK(documents->size() == 2);
  CHECK(json(R"({"kind": "List", "items": []})")->empty());
}

TEST_CASE("node object: each bad object gets one line with file, object, field and reason") {
  struct Case {
    std::string text;
    std::string error;
  };
  const std::string bad_kind = ", but only Node, CiliumNode and lists of them belong here";
  const Case cases[] = {
      {"", "f.json: is empty"},
      {" \n", "f.json: is empty"},
      {"{\"kind\": \"Node\",\n", "f.json:2: is not JSON: it ends too early"},
      {"{\"kind\":\n\"Node\" oops}", "f.json:2: is not JSON"},
      {"[]", "f.json: has to be an object, not a list"},
      {"{}", "f.json: kind: is missing"},
      {R"({"kind": 7})", "f.json: kind: has to be a text, not a number"},
      {R"({"kind": "Pod", "metadata": {"name": "p"}})", "f.json: kind: is Pod" + bad_kind},
      {R"({"kind": "Node", "apiVersion": "config.openshift.io/v1"})",
       "f.json: kind: is Node of config.openshift.io/v1" + bad_kind},
      {R"({"kind": "List", "items": [{"kind": "List"}]})", "f.json: items[0]: kind: is List" + bad_kind},
      {R"({"kind": "List", "items": [{"metadata": {"name": "a"}}]})", "f.json: items[0]: kind: is missing"},
      {R"({"kind": "List", "items": [3]})", "f.json: List: items[0]: has to be a map, not a number"},
      {R"({"kind": "List", "items": {}})", "f.json: List: items: has to be a list, not a map"},
      {R"({"kind": "NodeList", "metadata": {"continue": "x"}, "items": []})",
       "f.json: NodeList: metadata.continue: is set: this is a part of the list only"},
      {R"({"kind": "Node"})", "f.json: Node/(no name): metadata.name: is missing"},
      {node_with(R"("metadata": {"name": 5})"),
       "f.json: Node/(no name): metadata.name: has to be a text, not a number"},
      {node_with(R"("metadata": {"name": "../x"})"),
       "f.json: Node/../x: metadata.name: \"../x\" is not a node name: lower-case letters, digits, '-' and '.' (RFC "
       "1123)"},
      {node_with(R"("metadata": [])"), "f.json: Node/(no name): metadata: has to be a map, not a list"},
      {node_with(R"("metadata": {"name": "n", "name": "m"})"), "f.json: \"name\" is given twice"},
      {node_with(R"("metadata": {"name": "n", "labels": {"a": 1}})"),
       "f.json: Node/n: metadata.labels[a]: has to be a text, not a number"},
      {node_with(R"("metadata": {"name": "n", "annotations": {"network.cilium.io/wg-pub-key": "abc"}})"),
       "f.json: Node/n: metadata.annotations[network.cilium.io/wg-pub-key]: has 3 characters where a WireGuard key "
       "has 44"},
      {node_with(R"("metadata": {"name": "n", "annotations": {"network.cilium.io/wg-pub-key": true}})"),
       "f.json: Node/n: metadata.annotations[network.cilium.io/wg-pub-key]: has to be a text, not true or false"},
      {named_with(R"("spec": {"podCIDR": "10.244.1.0"})"),
       "f.json: Node/n: spec.podCIDR: \"10.244.1.0\" is not a CIDR: it has no /length"},
      {named_with(R"("spec": {"podCIDRs": ["10.244.1.0/24", "300.0.0.0/8"]})"),
       "f.json: Node/n: spec.podCIDRs[1]: \"300.0.0.0/8\" is not a CIDR of IPv4 or IPv6"},
      {named_with(R"("spec": {"podCIDRs": "10.244.1.0/24"})"),
       "f.json: Node/n: spec.podCIDRs: has to be a list, not a text"},
      {named_with(R"("spec": "x")"), "f.json: Node/n: spec: has to be a map, not a text"},
      {named_with(R"("status": {"addresses": [{"address": "1.2.3", "type": "InternalIP"}]})"),
       "f.json: Node/n: status.addresses[0].address: \"1.2.3\" is not an IPv4 or IPv6 address"},
      {named_with(R"("status": {"addresses": [{"address": "127.0.0.1", "type": "InternalIP"}]})"),
       "f.json: Node/n: status.addresses[0].address: \"127.0.0.1\" cannot be a node IP: it is a loopback address"},
      {named_with(R"("status": {"addresses": [{"type": "InternalIP"}]})"),
       "f.json: Node/n: status.addresses[0].address: is missing"},
      {named_with(R"("status": {"addresses": [{"address": "10.0.0.1"}]})"),
       "f.json: Node/n: status.addresses[0].type: is missing"},
      {R"({"kind": "CiliumNode", "metadata": {"name": "n"}, "spec": {"ipam": {"podCIDRs": [7]}}})",
       "f.json: CiliumNode/n: spec.ipam.podCIDRs[0]: has to be a text, not a number"},
      {"{\"kind\": \"No\xc3\"}", "f.json:1: is not UTF-8"},
      {std::string(100000, '['), "f.json: is nested too deeply"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.text.substr(0, 200));
    const auto objects = json(c.text);
    CHECK(refusal(objects) == c.error);
    if (!objects) CHECK(objects.error().kind() == sheath::ErrorKind::kMisuse);
  }
}

TEST_CASE("node object: bad YAML is named with its line") {
  CHECK(refusal(yaml("kind: Node\nmetadata:\n  name: n\n  name: m\n")) == "f.yaml:4: \"name\" is given twice");
  CHECK(refusal(yaml("---\n---\n")) == "f.yaml: holds no object");
  CHECK(refusal(yaml("{}}")) == "f.yaml:1: is not YAML: illegal flow end");
  CHECK(refusal(yaml("{a: b},\n")) == "f.yaml: is not YAML: goes on behind the end of its document");
  CHECK(refusal(yaml("# nothing\n")) == "f.yaml: holds no object");
  CHECK(refusal(yaml("kind: Node\nmetadata: {name: n}\nspec: {podCIDR: x}\n")) ==
        "f.yaml:1: Node/n: spec.podCIDR: \"x\" is not a CIDR: it has no /length");
  CHECK(refusal(yaml("kind: Node\nmetadata: {name: 12}\n")) ==
        "f.yaml:1: Node/(no name): metadata.name: has to be a text, not a number");
  CHECK(refusal(yaml("a: &a [x]\nb: [*a, *a]\n")) == "f.yaml:2: aliases (*name) are not supported");
  CHECK(refusal(yaml(std::string(100000, '['))).starts_with("f.yaml:1: "));
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "- ";
  CHECK(refusal(yaml(deep + "x\n")) == "f.yaml:1: is nested too deeply");
}

TEST_CASE("node object: what a node publishes reads back as the same node, in the same bytes") {
  Node node;
  node.name = "kind-worker";
  node.node_ips = {*sheath::IpAddress::parse("172.18.0.4"), *sheath::IpAddress::parse("fd00:172:18::4")};
  node.pod_cidrs = {*sheath::Cidr::parse("10.244.1.0/24"), *sheath::Cidr::parse("fd00:10:244:1::/64")};
  node.wireguard_key = *sheath::keys::PublicKey::parse(kKey);
  const auto text = published_object(node);
  CHECK(text == published_object(node));
  CHECK(text == R"({
  "apiVersion": "cilium.io/v2",
  "kind": "CiliumNode",
  "metadata": {
    "name": "kind-worker",
    "labels": {
      "app.kubernetes.io/managed-by": "sheath"
    },
    "annotations": {
      "network.cilium.io/wg-pub-key": "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
    }
  },
  "spec": {
    "addresses": [
      {
        "type": "InternalIP",
        "ip": "172.18.0.4"
      },
      {
        "type": "InternalIP",
        "ip": "fd00:172:18::4"
      }
    ],
    "ipam": {
      "podCIDRs": [
        "10.244.1.0/24",
        "fd00:10:244:1::/64"
      ]
    }
  }
}
)");
  const auto objects = json(text);
  REQUIRE_MESSAGE(objects, refusal(objects));
  CHECK(objects->at(0).node == node);
}

// Deterministic, so that a failure can be repeated: xorshift.
class Random {
 public:
  std::size_t below(std::size_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<std::size_t>(state_ % bound);
  }

 private:
  std::uint64_t state_ = 0x9e3779b97f4a7c15;
};

TEST_CASE("node object: mutated input is read or refused, never more") {
  Random random;
  const std::string pieces[] = {"{",   "[",    "\"",      "null", "*a",    "&a ",
                                "!t ", "\xff", "\n---\n", ": ",   "1e999", "\\u0000"};
  for (const std::string& seed : {std::string(kNode), std::string(kCiliumNode)}) {
    for (int round = 0; round < 4000; ++round) {
      auto text = seed;
      for (std::size_t edits = 1 + random.below(3); edits > 0; --edits) {
        const auto at = random.below(text.size());
        switch (random.below(4)) {
          case 0:
            text[at] = static_cast<char>(random.below(256));
            break;
          case 1:
            text.erase(at, 1 + random.below(20));
            break;
          case 2:
            text.insert(at, pieces[random.below(std::size(pieces))]);
            break;
          default:
            text.resize(at + 1);
            break;
        }
        if (text.empty()) text = " ";
      }
      for (const auto& result : {json(text), yaml(text)}) {
        if (result) continue;
        CHECK(result.error().what().starts_with("f."));
        CHECK(result.error().kind() == sheath::ErrorKind::kMisuse);
      }
    }
  }
}
