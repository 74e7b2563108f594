// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/state/config.hpp"
#include "loader/state/node_object.hpp"

namespace sheath::state {

// A file that a node publishes about itself, to be written with mode 0644.
struct Publication {
  std::filesystem::path path;
  std::string content;
  bool operator==(const Publication&) const = default;
};

// Held by all who keep it: it does not change.
using SharedObject = std::shared_ptr<const NodeObject>;

// What one file holds, or whatever a source hands out in one piece.
struct NodeFile {
  std::string name;  // the objects' `where` begins with it
  std::vector<SharedObject> objects;
  std::vector<BadObject> bad;
  std::optional<Error> unreadable;  // as a whole: then the other two are empty
};

// A file by the name that NodeFile has, and what it holds now.
struct ChangedFile {
  std::string name;
  std::optional<NodeFile> now;  // absent: it is gone
};

// Where the objects of the cluster's nodes come from.
class NodeSource {
 public:
  NodeSource() = default;
  NodeSource(const NodeSource&) = delete;
  NodeSource& operator=(const NodeSource&) = delete;
  virtual ~NodeSource() = default;

  // All objects, in an order that depends on nothing but their content and place.
  virtual Result<std::vector<NodeObject>> read() = 0;
  // The same for who makes do with what is good, file by file; fails only when there is nothing to look at. Files that
  // did not change since the last call are not read again.
  virtual Result<std::vector<NodeFile>> read_each() = 0;
  // Of these files alone what the last read_each() would say now; `names` as the source's own notices have them (for a
  // folder: names in it). What is not of the source's is left out; nullopt when more may have changed with them.
  virtual std::optional<std::vector<ChangedFile>> read_again(const std::set<std::string>& names) = 0;
  // What `node` has to publish here for its peers to know it. Only says so: writes nothing.
  virtual Publication publication(const Node& node) const = 0;
};

// A folder of JSON (.json) and YAML (.yaml, .yml) files; others, and names that begin with a dot, are not looked at.
// `<name>.sheath.json` is what node <name> published. A file that vanishes while it is read makes it list again.
class FileSource : public NodeSource {
 public:
  explicit FileSource(std::filesystem::path folder) : folder_(std::move(folder)) {}

  Result<std::vector<NodeObject>> read() override;
  Result<std::vector<NodeFile>> read_each() override;
  std::optional<std::vector<ChangedFile>> read_again(const std::set<std::string>& names) override;
  Publication publication(const Node& node) const override;

 private:
  // nullopt: it is gone.
  std::optional<NodeFile> look_at(const std::string& path);

  // Another one after each change of the file's content or of what its name stands for.
  using Stamp = std::array<std::int64_t, 7>;
  static std::optional<Stamp> stamp_of(const std::string& path);

  struct Known {
    Stamp stamp;  // of the file that it was read from
    NodeFile file;
  };

  std::filesystem::path folder_;
  std::map<std::string, Known> known_;  // by path
};

// The source that the configuration names.
Result<std::unique_ptr<NodeSource>> make_node_source(const Config& config);

}  // namespace sheath::state
