// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>

#include "loader/base/file.hpp"
#include "loader/state/node_source.hpp"
#include "selftests/unit/temporary_folder.hpp"

using namespace sheath::state;
using sheath::test::TemporaryFolder;

namespace {

std::string node_json(const std::string& name, const std::string& kind = "Node") {
  return R"({"kind": ")" + kind + R"(", "metadata": {"name": ")" + name + "\"}}";
}

std::string names(const sheath::Result<std::vector<NodeObject>>& objects) {
  REQUIRE_MESSAGE(objects, objects.error().what());
  std::string out;
  for (const auto& object : *objects) out += object.node.name + " ";
  return out;
}

std::string refusal(const TemporaryFolder& folder) {
  const auto objects = FileSource(folder.path()).read();
  if (objects) return "";
  CHECK(objects.error().kind() == sheath::ErrorKind::kMisuse);
  auto text = objects.error().what();
  const auto path = folder.path().string();
  if (const auto at = text.find(path); at != std::string::npos) text.replace(at, path.size(), "DIR");
  return text;
}

}  // namespace

TEST_CASE("file source: reads JSON and YAML in the order of their names, and nothing else") {
  const TemporaryFolder folder;
  folder.write("c.yml", "kind: Node\nmetadata: {name: c}\n");
  folder.write("a.yaml", "kind: Node\nmetadata: {name: a}\n");
  folder.write("b.json", node_json("b"));
  folder.write(".hidden.json", "garbage");
  folder.write("b.json.Ab3dEf", "garbage");
  folder.write("README.md", "garbage");
  CHECK(names(FileSource(folder.path()).read()) == "a b c ");
}

TEST_CASE("file source: an empty folder is an empty cluster, an absent one an error") {
  const TemporaryFolder folder;
  CHECK(names(FileSource(folder.path()).read()) == "");
  const auto absent = FileSource(folder / "nodes").read();
  REQUIRE(!absent);
  CHECK(absent.error().what() ==
        "read the nodes folder " + (folder / "nodes").string() + ": No such file or directory (ENOENT)");
  CHECK(absent.error().kind() == sheath::ErrorKind::kMisuse);
  CHECK(!absent.error().hint().empty());
}

TEST_CASE("file source: links are followed, as in a mounted ConfigMap") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "..2026");
  folder.write("..2026/a.json", node_json("a"));
  std::filesystem::create_directory_symlink("..2026", folder / "..data");
  std::filesystem::create_symlink("..data/a.json", folder / "a.json");
  CHECK(names(FileSource(folder.path()).read()) == "a ");
}

TEST_CASE("file source: a published file speaks for the node it is named after") {
  const TemporaryFolder folder;
  folder.write("kind-worker.sheath.json", node_json("kind-worker", "CiliumNode"));
  folder.write("other.json", node_json("kind-worker", "CiliumNode"));
  const auto objects = FileSource(folder.path()).read();
  REQUIRE(objects);
  REQUIRE(objects->size() == 2);
  CHECK(objects->at(0).kind == ObjectKind::kPublished);
  CHECK(objects->at(1).kind == ObjectKind::kCiliumNode);

  folder.write("kind-worker.sheath.json", node_json("kind-worker2", "CiliumNode"));
  CHECK(refusal(folder) == "DIR/kind-worker.sheath.json: has to hold CiliumNode/kind-worker and nothing else");
  folder.write("kind-worker.sheath.json", node_json("kind-worker", "Node"));
  CHECK(refusal(folder) == "DIR/kind-worker.sheath.json: has to hold CiliumNode/kind-worker and nothing else");
}

TEST_CASE("file source: one bad file refuses the whole") {
  const TemporaryFolder folder;
  folder.write("a.json", node_json("a"));
  folder.write("b.json", "");
  CHECK(refusal(folder) == "DIR/b.json: is empty");
  folder.write("b.json", "{");
  CHECK(refusal(folder) == "DIR/b.json:1: is not JSON: it ends too early");
}

TEST_CASE("file source: a folder, a FIFO or a link to nothing with the name of an object is refused") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "a.json");
  CHECK(refusal(folder) == "DIR/a.json: is not a regular file");
  std::filesystem::remove(folder / "a.json");
  REQUIRE(mkfifo((folder / "a.json").c_str(), 0600) == 0);
  CHECK(refusal(folder) == "DIR/a.json: is not a regular file");
  std::filesystem::remove(folder / "a.json");
  std::filesystem::create_symlink("nowhere", folder / "a.json");
  CHECK(refusal(folder) == "read DIR/a.json: No such file or directory (ENOENT)");
}

TEST_CASE("file source: what is published is read back, and publishing again changes nothing") {
  const TemporaryFolder folder;
  FileSource source(folder.path());
  Node node;
  node.name = "n";
  node.pod_cidrs = {*sheath::Cidr::parse("10.244.1.0/24")};
  const auto first = source.publication(node);
  CHECK(first.path == folder / "n.sheath.json");
  REQUIRE(sheath::write_file_atomically(first.path, first.content, 0644));
  const auto objects = source.read();
  REQUIRE(objects);
  CHECK(objects->at(0).kind == ObjectKind::kPublished);
  CHECK(objects->at(0).node == node);
  CHECK(source.publication(objects->at(0).node) == first);
}

TEST_CASE("file source: sources this version does not have are refused") {
  Config config;
  CHECK(make_node_source(config));
  config.nodes.source = "etcd";
  const auto source = make_node_source(config);
  REQUIRE(!source);
  CHECK(source.error().what() == "nodes.source: etcd is not supported by this version");
}
