// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/state/node_object.hpp"
#include "loader/state/node_source.hpp"

namespace sheath::state {

// The node objects of an agent, which goes on with what is good: an object that is wrong, or contradicts the others,
// stays as it was when it last was good, and stops nobody else's. One that never was good is not there: what goes to
// its node is dropped in strict mode.
class GoodNodes {
 public:
  // Whether these objects make a cluster.
  using Check = std::function<Result<>(std::span<const NodeObject>)>;

  struct Refused {
    std::string where;
    std::string reason;
    bool operator==(const Refused&) const = default;
  };

  // All objects that are good together, in the order of their places. Fails only when the source cannot be looked at.
  // Of two new ones that contradict each other the first is taken; of an old and a new one, the old one stays.
  Result<std::vector<NodeObject>> read(NodeSource& source, const Check& check);

  // What is different in these files, where all of it can be read and nothing is refused at present; nullopt where one
  // has to look at everything. Changes nothing.
  struct Update {
    std::map<std::string, SharedObject> changes;  // by place; null: the object is gone
    std::set<std::string> nodes;                  // that they are about
  };
  std::optional<Update> compare(std::span<const ChangedFile> files) const;
  // All that is said about a node once the update is taken.
  std::vector<NodeObject> objects_of(const std::string& node, const Update& update) const;
  // It was found to be good with the rest.
  void take(const Update& update);

  // What the last read() did not take, or took in an older state.
  const std::vector<Refused>& refused() const { return refused_; }

 private:
  using Objects = std::map<std::string, SharedObject>;  // by place
  // Null: the object is gone.
  struct Change {
    std::string where;
    SharedObject object;
  };
  using Changes = std::vector<Change>;
  using Refusals = std::vector<std::pair<Change, Error>>;

  void apply(std::span<const Change> changes, Objects& objects) const;
  // Takes all of them, or halves them until those that cannot be taken stand alone: these are returned, with why.
  Refusals take(std::span<const Change> changes, const Check& check);
  // Some are good together only, such as those of nodes that swap their pod CIDRs: takes all but the one that is not.
  void take_together(Refusals& refused, const Check& check);

  void add(const std::string& where, const SharedObject& object);
  void remove(const std::string& where);

  Objects good_;
  std::set<std::pair<std::string_view, const NodeObject*>> by_node_;  // all of them, by their node's name
  std::vector<Refused> refused_;
};

}  // namespace sheath::state
