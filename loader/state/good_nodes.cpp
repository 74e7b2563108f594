// SPDX-License-Identifier: Apache-2.0
#include "loader/state/good_nodes.hpp"

#include <algorithm>
#include <set>

namespace sheath::state {
namespace {

std::vector<NodeObject> listed(const std::map<std::string, SharedObject>& objects) {
  std::vector<NodeObject> out;
  out.reserve(objects.size());
  for (const auto& [where, object] : objects) out.push_back(*object);
  return out;
}

bool same(const SharedObject& left, const SharedObject& right) {
  return left == right || (left && right && *left == *right);
}

// More of them are no swap of a few nodes, and each is a look at the whole cluster.
constexpr std::size_t kFewRefusals = 16;

// What a source hands out, by place; and the places that stay as they are since nobody can say what is there now.
struct Found {
  std::map<std::string, SharedObject> objects;
  std::set<std::string> unknown;           // objects
  std::vector<std::string> unknown_files;  // all objects of these
  std::vector<GoodNodes::Refused> refused;

  bool stays(const std::string& where) const {
    return unknown.contains(where) ||
           std::ranges::any_of(unknown_files, [&](const std::string& file) { return where.starts_with(file + ": "); });
  }
};

Found sort_out(const std::vector<NodeFile>& files) {
  Found out;
  for (const auto& file : files) {
    if (file.unreadable) {
      out.unknown_files.push_back(file.name);
      out.refused.push_back({file.name, file.unreadable->what()});
    }
    for (const auto& bad : file.bad) {
      out.unknown.insert(bad.where);
      out.refused.push_back({bad.where, bad.error.what()});
    }
    for (const auto& object : file.objects) {
      // A second one under the same name in the same file: the check will find it, and name both.
      auto where = object->where;
      while (out.objects.contains(where)) where += " (again)";
      out.objects.emplace(std::move(where), object);
    }
  }
  return out;
}

}  // namespace

void GoodNodes::apply(std::span<const Change> changes, Objects& objects) const {
  for (const auto& change : changes) {
    if (change.object == nullptr) {
      objects.erase(change.where);
    } else {
      objects.insert_or_assign(change.where, change.object);
    }
  }
}

GoodNodes::Refusals GoodNodes::take(std::span<const Change> changes, const Check& check) {
  if (changes.empty()) return {};
  auto candidate = good_;
  apply(changes, candidate);
  auto checked = check(listed(candidate));
  if (checked) {
    good_ = std::move(candidate);
    return {};
  }
  if (changes.size() == 1) return {{changes.front(), std::move(checked.error())}};
  const auto half = changes.size() / 2;
  auto refused = take(changes.first(half), check);
  std::ranges::move(take(changes.subspan(half), check), std::back_inserter(refused));
  return refused;
}

void GoodNodes::take_together(Refusals& refused, const Check& check) {
  if (refused.size() < 3 || refused.size() > kFewRefusals) return;
  for (std::size_t without = 0; without < refused.size(); ++without) {
    Changes rest;
    for (std::size_t i = 0; i < refused.size(); ++i) {
      if (i != without) rest.push_back(refused[i].first);
    }
    auto candidate = good_;
    apply(rest, candidate);
    if (!check(listed(candidate))) continue;
    good_ = std::move(candidate);
    std::swap(refused[0], refused[without]);
    refused.resize(1, refused[0]);
    return;
  }
}

Result<std::vector<NodeObject>> GoodNodes::read(NodeSource& source, const Check& check) {
  const auto files = source.read_each();
  if (!files) return fail(files.error());
  auto found = sort_out(*files);
  // What goes makes room for what comes.
  Changes changes;
  for (const auto& [where, object] : good_) {
    if (!found.objects.contains(where) && !found.stays(where)) changes.push_back({where, nullptr});
  }
  for (const auto& [where, object] : found.objects) {
    const auto known = good_.find(where);
    if (known == good_.end() || !same(known->second, object)) changes.push_back({where, object});
  }
  auto refused = take(changes, check);
  take_together(refused, check);
  refused_ = std::move(found.refused);
  for (const auto& [change, error] : refused) refused_.push_back({change.where, error.what()});
  by_node_.clear();
  for (const auto& [where, object] : good_) by_node_.emplace(object->node.name, object.get());
  return listed(good_);
}

std::optional<GoodNodes::Update> GoodNodes::compare(std::span<const ChangedFile> files) const {
  if (!refused_.empty()) return std::nullopt;
  Update out;
  for (const auto& file : files) {
    const auto prefix = file.name + ": ";
    for (auto it = good_.lower_bound(prefix); it != good_.end() && it->first.starts_with(prefix); ++it) {
      out.changes.emplace(it->first, nullptr);
    }
    if (!file.now) continue;
    if (file.now->unreadable || !file.now->bad.empty()) return std::nullopt;
    std::set<std::string> places;
    for (const auto& object : file.now->objects) {
      if (!places.insert(object->where).second) return std::nullopt;
      out.changes.insert_or_assign(object->where, object);
    }
  }
  std::erase_if(out.changes, [&](const auto& change) {
    const auto known = good_.find(change.first);
    return known != good_.end() && same(change.second, known->second);
  });
  for (const auto& [where, object] : out.changes) {
    if (object) out.nodes.insert(object->node.name);
    if (const auto known = good_.find(where); known != good_.end()) out.nodes.insert(known->second->node.name);
  }
  return out;
}

std::vector<NodeObject> GoodNodes::objects_of(const std::string& node, const Update& update) const {
  std::map<std::string_view, const NodeObject*> objects;
  for (auto it = by_node_.lower_bound({node, nullptr}); it != by_node_.end() && it->first == node; ++it) {
    objects[it->second->where] = it->second;
  }
  for (const auto& [where, object] : update.changes) {
    objects.erase(where);
    if (object && object->node.name == node) objects[where] = object.get();
  }
  std::vector<NodeObject> out;
  for (const auto& [where, object] : objects) out.push_back(*object);
  return out;
}

void GoodNodes::add(const std::string& where, const SharedObject& object) {
  good_.emplace(where, object);
  by_node_.emplace(object->node.name, object.get());
}

void GoodNodes::remove(const std::string& where) {
  const auto known = good_.find(where);
  if (known == good_.end()) return;
  by_node_.erase({known->second->node.name, known->second.get()});
  good_.erase(known);
}

void GoodNodes::take(const Update& update) {
  for (const auto& [where, object] : update.changes) {
    remove(where);
    if (object) add(where, object);
  }
}

}  // namespace sheath::state
