// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>

#include "loader/base/file.hpp"
#include "loader/state/node_source.hpp"
#include "loader/state/object_names.hpp"

namespace sheath::state {
namespace {

namespace fs = std::filesystem;

// Files come and go while nodes join and leave; a folder in which one is gone each time we look is broken.
constexpr int kAttempts = 5;
// `kubectl get nodes -o json` of 5,000 nodes with 50 images each is about 90 MB.
constexpr std::size_t kMaxFile = 256u << 20;

// By its name; a path does as well.
std::optional<DocumentFormat> format_of(std::string_view file) {
  const auto name = file.substr(file.rfind('/') + 1);
  if (name.starts_with('.')) return std::nullopt;
  if (name.ends_with(".json")) return DocumentFormat::kJson;
  if (name.ends_with(".yaml") || name.ends_with(".yml")) return DocumentFormat::kYaml;
  return std::nullopt;
}

std::unexpected<Error> listing_error(const fs::path& folder) {
  Error error = Error::misuse(Error::system("read the nodes folder " + folder.string(), errno).what());
  return fail(std::move(error).hint("nodes.path (--nodes-path) has to be a folder that all nodes publish to"));
}

struct Close {
  void operator()(DIR* folder) const { closedir(folder); }
};

// The paths of what is in it begin so.
std::string prefix_of(const fs::path& folder) {
  return folder / "";
}

// The paths of the files to read, sorted by name. (Five thousand std::filesystem::path take longer to sort than to
// read.)
Result<std::vector<std::string>> list(const fs::path& folder) {
  const std::unique_ptr<DIR, Close> open(opendir(folder.c_str()));
  if (!open) return listing_error(folder);
  const auto prefix = prefix_of(folder);
  std::vector<std::string> out;
  for (;;) {
    errno = 0;  // at the end readdir leaves it alone, and whatever else is called may not
    const auto* entry = readdir(open.get());
    if (entry == nullptr && errno != 0) return listing_error(folder);
    if (entry == nullptr) break;
    if (format_of(entry->d_name)) out.push_back(prefix + entry->d_name);
  }
  std::ranges::sort(out);
  return out;
}

bool is_published(std::string_view path) {
  return path.ends_with(kPublishedSuffix);
}

// A published file speaks for the node it is named after, and for no other.
Result<> mark_published(const std::string& path, std::vector<NodeObject>& objects) {
  const auto file_name = path.substr(path.rfind('/') + 1);
  const auto name = file_name.substr(0, file_name.size() - kPublishedSuffix.size());
  if (objects.size() != 1 || objects[0].kind != ObjectKind::kCiliumNode || objects[0].node.name != name) {
    return fail(Error::misuse(path + ": has to hold CiliumNode/" + name + " and nothing else"));
  }
  objects[0].kind = ObjectKind::kPublished;
  return {};
}

Result<std::vector<NodeObject>> read_one(const std::string& path, std::vector<BadObject>* bad = nullptr) {
  struct stat info{};
  // Whoever reads a FIFO or a device waits for ever.
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return fail(Error::misuse(path + ": is not a regular file"));
  }
  const auto content = read_file(path, kMaxFile);
  if (!content) return fail(content.error());
  auto objects = parse_node_objects(*content, *format_of(path), path, bad);
  if (!objects) return objects;
  const bool all_bad = bad != nullptr && !bad->empty() && objects->empty();
  if (is_published(path) && !all_bad) {
    if (auto marked = mark_published(path, *objects); !marked) return fail(std::move(marked.error()));
  }
  return objects;
}

Result<std::vector<NodeObject>> read_all(const std::vector<std::string>& files) {
  std::vector<NodeObject> out;
  for (const auto& file : files) {
    auto objects = read_one(file);
    if (!objects) return objects;
    std::ranges::move(*objects, std::back_inserter(out));
  }
  return out;
}

NodeFile read_tolerantly(const std::string& path) {
  NodeFile out{path, {}, {}, std::nullopt};
  auto objects = read_one(path, &out.bad);
  if (objects) {
    for (auto& object : *objects) out.objects.push_back(std::make_shared<const NodeObject>(std::move(object)));
    return out;
  }
  out.bad.clear();
  out.unreadable = std::move(objects.error());
  return out;
}

}  // namespace

Result<std::vector<NodeFile>> FileSource::read_each() {
  const auto files = list(folder_);
  if (!files) return fail(files.error());
  std::erase_if(known_, [&](const auto& entry) { return !std::ranges::binary_search(*files, entry.first); });
  std::vector<NodeFile> out;
  for (const auto& path : *files) {
    if (auto file = look_at(path)) out.push_back(std::move(*file));
  }
  return out;
}

// A mounted ConfigMap is changed by what its files lead to: `..data` is another folder then.
std::optional<std::vector<ChangedFile>> FileSource::read_again(const std::set<std::string>& names) {
  std::vector<ChangedFile> out;
  for (const auto& name : names) {
    if (name.starts_with("..")) return std::nullopt;
    const auto path = prefix_of(folder_) + name;
    if (format_of(path)) out.push_back({path, look_at(path)});
  }
  return out;
}

std::optional<FileSource::Stamp> FileSource::stamp_of(const std::string& path) {
  struct stat file{};
  if (stat(path.c_str(), &file) != 0) return std::nullopt;
  return Stamp{static_cast<std::int64_t>(file.st_dev),
               static_cast<std::int64_t>(file.st_ino),
               file.st_size,
               file.st_mtim.tv_sec,
               file.st_mtim.tv_nsec,
               file.st_ctim.tv_sec,
               file.st_ctim.tv_nsec};
}

std::optional<NodeFile> FileSource::look_at(const std::string& path) {
  // Taken first: what is written while it is read makes another one.
  const auto stamp = stamp_of(path);
  const auto known = known_.find(path);
  if (known != known_.end() && known->second.stamp == stamp) return known->second.file;
  auto file = read_tolerantly(path);
  known_.erase(path);
  if (!file.unreadable && stamp) known_.emplace(path, Known{*stamp, file});
  if (file.unreadable && file.unreadable->error_number() == ENOENT) return std::nullopt;
  return file;
}

Result<std::vector<NodeObject>> FileSource::read() {
  for (int attempt = 1;; ++attempt) {
    const auto files = list(folder_);
    if (!files) return fail(files.error());
    auto objects = read_all(*files);
    if (objects) return objects;
    const bool vanished = objects.error().error_number() == ENOENT;
    if (!vanished || attempt == kAttempts) {
      return fail(Error::misuse(objects.error().what()).hint(objects.error().hint()));
    }
  }
}

Publication FileSource::publication(const Node& node) const {
  return {folder_ / (node.name + std::string(kPublishedSuffix)), published_object(node)};
}

Result<std::unique_ptr<NodeSource>> make_node_source(const Config& config) {
  if (config.nodes.source != "file") {
    return fail(Error::misuse("nodes.source: " + config.nodes.source + " is not supported by this version"));
  }
  return std::make_unique<FileSource>(config.nodes.path);
}

}  // namespace sheath::state
