// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <filesystem>
#include <set>
#include <string>

#include "loader/state/cluster.hpp"
#include "loader/state/good_nodes.hpp"
#include "selftests/unit/temporary_folder.hpp"

using namespace sheath::state;
using sheath::test::TemporaryFolder;

namespace {

std::string node_text(const std::string& name, const std::string& cidr, const std::string& address = "") {
  return R"({"kind": "Node", "metadata": {"name": ")" + name + R"("}, "spec": {"podCIDR": ")" + cidr +
         R"("}, "status": {"addresses": [{"type": "InternalIP", "address": ")" +
         (address.empty() ? "172.18.0." + name.substr(1) : address) + "\"}]}}";
}

std::string list_text(const std::string& first, const std::string& second) {
  return R"({"kind": "List", "items": [)" + first + ", " + second + "]}";
}

struct NodesFolder {
  // The cluster as it is after a look, as "n1 10.0.1.0/24, n2 ..."; node n0 is this one.
  std::string look() {
    const auto check = [](std::span<const NodeObject> objects) -> sheath::Result<> {
      Node own;
      own.name = "n0";
      const auto made = make_cluster(Config{}, objects, own);
      if (!made) return sheath::fail(made.error());
      return {};
    };
    const auto objects = good.read(source, check);
    if (!objects) return "error: " + objects.error().what();
    std::string out;
    for (const auto& object : *objects) {
      out += (out.empty() ? "" : ", ") + object.node.name + " " + object.node.pod_cidrs.at(0).text();
    }
    return out;
  }

  std::string refused(std::size_t index = 0) const {
    if (good.refused().size() <= index) return "";
    auto text = good.refused()[index].where + " | " + good.refused()[index].reason;
    const auto path = folder.path().string() + "/";
    for (auto at = text.find(path); at != std::string::npos; at = text.find(path)) text.erase(at, path.size());
    return text;
  }

  TemporaryFolder folder;
  FileSource source{folder.path()};
  GoodNodes good;
};

using Names = std::set<std::string>;

std::string said_of(const NodesFolder& nodes, const std::string& name, const GoodNodes::Update& update) {
  std::string out;
  for (const auto& object : nodes.good.objects_of(name, update)) out += object.node.pod_cidrs.at(0).text() + " ";
  return out;
}

}  // namespace

TEST_CASE("good nodes: a few files are compared alone, and taken") {
  NodesFolder nodes;
  nodes.folder.write("1.json", node_text("n1", "10.0.1.0/24"));
  nodes.folder.write("2.json", list_text(node_text("n2", "10.0.2.0/24"), node_text("n3", "10.0.3.0/24")));
  REQUIRE(nodes.look().starts_with("n1"));
  const auto compare = [&](const Names& names) {
    const auto files = nodes.source.read_again(names);
    return files ? nodes.good.compare(*files) : std::nullopt;
  };
  REQUIRE(compare({"1.json", "2.json", "3.json", "readme.txt", ".1.json.new"}));
  CHECK(compare({"1.json", "2.json"})->changes.empty());
  CHECK(compare({"1.json", "2.json"})->nodes.empty());
  CHECK_FALSE(compare({"..data"}));

  nodes.folder.write("2.json", list_text(node_text("n2", "10.0.2.0/24"), node_text("n4", "10.0.4.0/24")));
  nodes.folder.write("5.json", node_text("n5", "10.0.5.0/24"));
  std::filesystem::remove(nodes.folder.path() / "1.json");
  const auto update = compare({"1.json", "2.json", "5.json"});
  REQUIRE(update);
  CHECK(update->nodes == Names{"n1", "n3", "n4", "n5"});
  CHECK(update->changes.size() == 4);
  CHECK(said_of(nodes, "n1", *update).empty());
  CHECK(said_of(nodes, "n2", *update) == "10.0.2.0/24 ");
  CHECK(said_of(nodes, "n3", *update).empty());
  CHECK(said_of(nodes, "n5", *update) == "10.0.5.0/24 ");
  nodes.good.take(*update);
  CHECK(compare({"1.json", "2.json", "5.json"})->changes.empty());
  CHECK(said_of(nodes, "n4", {}) == "10.0.4.0/24 ");
  CHECK(nodes.look() == "n2 10.0.2.0/24, n4 10.0.4.0/24, n5 10.0.5.0/24");

  // What cannot be read, or is refused already, is for a look at everything.
  nodes.folder.write("5.json", "{");
  CHECK_FALSE(compare({"5.json"}));
  nodes.look();
  CHECK_FALSE(compare({"1.json"}));
}

TEST_CASE("good nodes: all that is good is taken, changes and removals too") {
  NodesFolder nodes;
  nodes.folder.write("1.json", node_text("n1", "10.0.1.0/24"));
  nodes.folder.write("2.json", list_text(node_text("n2", "10.0.2.0/24"), node_text("n3", "10.0.3.0/24")));
  CHECK(nodes.look() == "n1 10.0.1.0/24, n2 10.0.2.0/24, n3 10.0.3.0/24");
  CHECK(nodes.look() == "n1 10.0.1.0/24, n2 10.0.2.0/24, n3 10.0.3.0/24");
  nodes.folder.write("1.json", node_text("n1", "10.0.11.0/24"));
  nodes.folder.write("2.json", node_text("n3", "10.0.3.0/24"));
  CHECK(nodes.look() == "n1 10.0.11.0/24, n3 10.0.3.0/24");
  std::filesystem::remove(nodes.folder.path() / "1.json");
  CHECK(nodes.look() == "n3 10.0.3.0/24");
  CHECK(nodes.good.refused().empty());
}

TEST_CASE("good nodes: a file that cannot be read keeps what it had, and stops no other") {
  NodesFolder nodes;
  nodes.folder.write("1.json", node_text("n1", "10.0.1.0/24"));
  CHECK(nodes.look() == "n1 10.0.1.0/24");
  nodes.folder.write("1.json", R"({"kind": "Node", "meta)");
  nodes.folder.write("2.json", node_text("n2", "10.0.2.0/24"));
  CHECK(nodes.look() == "n1 10.0.1.0/24, n2 10.0.2.0/24");
  CHECK(nodes.refused().starts_with("1.json | 1.json:1"));
  nodes.folder.write("1.json", node_text("n1", "10.0.4.0/24"));
  CHECK(nodes.look() == "n1 10.0.4.0/24, n2 10.0.2.0/24");
  CHECK(nodes.good.refused().empty());
}

TEST_CASE("good nodes: one bad object of a list keeps what it was, the others move on") {
  NodesFolder nodes;
  nodes.folder.write("all.json", list_text(node_text("n1", "10.0.1.0/24"), node_text("n2", "10.0.2.0/24")));
  CHECK(nodes.look() == "n1 10.0.1.0/24, n2 10.0.2.0/24");
  nodes.folder.write("all.json", list_text(node_text("n1", "10.0.1.0/33"), node_text("n2", "10.0.22.0/24")));
  CHECK(nodes.look() == "n1 10.0.1.0/24, n2 10.0.22.0/24");
  CHECK(nodes.refused().starts_with("all.json: Node/n1 | "));
  CHECK(nodes.refused(1).empty());
}

TEST_CASE("good nodes: of those that contradict each other, the one that was there stays") {
  NodesFolder nodes;
  nodes.folder.write("2.json", node_text("n2", "10.0.2.0/24"));
  CHECK(nodes.look() == "n2 10.0.2.0/24");
  nodes.folder.write("1.json", node_text("n1", "10.0.2.0/25"));
  for (int i = 3; i < 40; ++i) {
    const auto number = std::to_string(i);
    nodes.folder.write(number + ".json", node_text("n" + number, "10.0." + number + ".0/24"));
  }
  const auto all = nodes.look();
  CHECK(all.find("n1 ") == std::string::npos);
  CHECK(all.find("n2 10.0.2.0/24") != std::string::npos);
  CHECK(all.find("n39 10.0.39.0/24") != std::string::npos);
  CHECK(nodes.refused() == "1.json: Node/n1 | nodes n2 and n1 have overlapping pod CIDRs: 10.0.2.0/24 and 10.0.2.0/25");
  CHECK(nodes.refused(1).empty());
  std::filesystem::remove(nodes.folder.path() / "2.json");
  CHECK(nodes.look().starts_with("n1 10.0.2.0/25"));
}

TEST_CASE("good nodes: two that swap what they have are taken together, beside one that is refused") {
  NodesFolder nodes;
  nodes.folder.write("1.json", node_text("n1", "10.0.1.0/24"));
  nodes.folder.write("2.json", node_text("n2", "10.0.2.0/24"));
  nodes.folder.write("5.json", node_text("n5", "10.0.5.0/24"));
  CHECK(nodes.look() == "n1 10.0.1.0/24, n2 10.0.2.0/24, n5 10.0.5.0/24");
  nodes.folder.write("1.json", node_text("n1", "10.0.2.0/24"));
  nodes.folder.write("2.json", node_text("n2", "10.0.1.0/24"));
  CHECK(nodes.look() == "n1 10.0.2.0/24, n2 10.0.1.0/24, n5 10.0.5.0/24");
  nodes.folder.write("1.json", node_text("n1", "10.0.1.0/24"));
  nodes.folder.write("2.json", node_text("n2", "10.0.2.0/24"));
  nodes.folder.write("3.json", node_text("n3", "10.0.5.0/24"));
  CHECK(nodes.look() == "n1 10.0.1.0/24, n2 10.0.2.0/24, n5 10.0.5.0/24");
  CHECK(nodes.refused().starts_with("3.json: Node/n3 | "));
  CHECK(nodes.refused(1).empty());
}

TEST_CASE("good nodes: two objects of one name in a file, and a folder that is gone") {
  NodesFolder nodes;
  nodes.folder.write("all.json", list_text(node_text("n1", "10.0.1.0/24"), node_text("n1", "10.0.2.0/24")));
  CHECK(nodes.look() == "n1 10.0.1.0/24");
  CHECK(nodes.refused().find("is a duplicate of") != std::string::npos);
  std::filesystem::remove_all(nodes.folder.path());
  CHECK(nodes.look().starts_with("error: read the nodes folder"));
}
