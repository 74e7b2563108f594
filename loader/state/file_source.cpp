// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <set>
#include <system_error>

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

std::optional<DocumentFormat> format_of(const fs::path& path) {
  const auto extension = path.extension();
  if (path.filename().string().starts_with('.')) return std::nullopt;
  if (extension == ".json") return DocumentFormat::kJson;
  if (extension == ".yaml" || extension == ".yml") return DocumentFormat::kYaml;
  return std::nullopt;
}

Error listing_error(const fs::path& folder, const std::error_code& code) {
  Error error = Error::misuse(Error::system("read the nodes folder " + folder.string(), code.value()).what());
  return std::move(error).hint("nodes.path (--nodes-path) has to be a folder that all nodes publish to");
}

// The files to read, sorted by name.
Result<std::vector<fs::path>> list(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    if (format_of(entry->path())) out.push_back(entry->path());
  }
  if (code) return fail(listing_error(folder, code));
  std::ranges::sort(out);
  return out;
}

bool is_published(const fs::path& path) {
  return path.filename().string().ends_with(kPublishedSuffix);
}

// A published file speaks for the node it is named after, and for no other.
Result<> mark_published(const fs::path& path, std::vector<NodeObject>& objects) {
  const auto file_name = path.filename().string();
  const auto name = file_name.substr(0, file_name.size() - kPublishedSuffix.size());
  if (objects.size() != 1 || objects[0].kind != ObjectKind::kCiliumNode || objects[0].node.name != name) {
    return fail(Error::misuse(path.string() + ": has to hold CiliumNode/" + name + " and nothing else"));
  }
  objects[0].kind = ObjectKind::kPublished;
  return {};
}

Result<std::vector<NodeObject>> read_one(const fs::path& path, std::vector<BadObject>* bad = nullptr) {
  std::error_code code;
  const auto status = fs::status(path, code);
  // Whoever reads a FIFO or a device waits for ever.
  if (!code && fs::exists(status) && !fs::is_regular_file(status)) {
    return fail(Error::misuse(path.string() + ": is not a regular file"));
  }
  const auto content = read_file(path, kMaxFile);
  if (!content) return fail(content.error());
  auto objects = parse_node_objects(*content, *format_of(path), path.string(), bad);
  if (!objects) return objects;
  const bool all_bad = bad != nullptr && !bad->empty() && objects->empty();
  if (is_published(path) && !all_bad) {
    if (auto marked = mark_published(path, *objects); !marked) return fail(std::move(marked.error()));
  }
  return objects;
}

Result<std::vector<NodeObject>> read_all(const std::vector<fs::path>& files) {
  std::vector<NodeObject> out;
  for (const auto& file : files) {
    auto objects = read_one(file);
    if (!objects) return objects;
    std::ranges::move(*objects, std::back_inserter(out));
  }
  return out;
}

NodeFile read_tolerantly(const fs::path& path) {
  NodeFile out{path.string(), {}, {}, std::nullopt};
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
  std::set<std::string> names;
  for (const auto& path : *files) names.insert(path.native());
  std::erase_if(known_, [&](const auto& entry) { return !names.contains(entry.first); });
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
    const auto path = folder_ / name;
    if (format_of(path)) out.push_back({path.string(), look_at(path)});
  }
  return out;
}

std::optional<FileSource::Stamp> FileSource::stamp_of(const fs::path& path) {
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

std::optional<NodeFile> FileSource::look_at(const fs::path& path) {
  // Taken first: what is written while it is read makes another one.
  const auto stamp = stamp_of(path);
  const auto known = known_.find(path.native());
  if (known != known_.end() && known->second.stamp == stamp) return known->second.file;
  auto file = read_tolerantly(path);
  known_.erase(path.native());
  if (!file.unreadable && stamp) known_.emplace(path.native(), Known{*stamp, file});
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
