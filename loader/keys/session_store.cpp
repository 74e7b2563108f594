// SPDX-License-Identifier: Apache-2.0
#include "loader/keys/session_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "loader/base/file.hpp"
#include "loader/base/unique_fd.hpp"
#include "loader/keys/secret_file.hpp"

namespace sheath::keys {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHeader = "sheath-session 1";
constexpr std::size_t kMaxSessionFile = 2048;
constexpr std::size_t kLines = 5;            // header, tag, time, private key, pre-shared key
constexpr std::size_t kAppendedAtOnce = 64;  // pairs
constexpr mode_t kFileMode = 0600;
constexpr mode_t kFolderMode = 0700;

using Text = std::span<const char>;

std::string_view view_of(Text text) {
  return {text.data(), text.size()};
}

std::vector<Text> lines_of(Text text) {
  std::vector<Text> lines;
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\n') continue;
    lines.push_back(text.subspan(start, i - start));
    start = i + 1;
  }
  return lines;
}

template <typename Number>
std::optional<Number> number(Text text) {
  Number value{};
  const auto* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stopped != end) return std::nullopt;
  return value;
}

Result<Session> parse_session(Text content, std::uint8_t generation) {
  const auto lines = lines_of(content);
  if (lines.size() != kLines || view_of(lines[0]) != kHeader) return fail("is not a whole session file");
  const auto tag = number<std::uint32_t>(lines[1]);
  if (!tag || *tag == 0 || *tag > kMaxTag) return fail("tag: not a number of 28 bits");
  const auto drawn_at = number<std::int64_t>(lines[2]);
  if (!drawn_at) return fail("time: not a number");
  auto key = PrivateKey::parse(lines[3]);
  if (!key) return fail(std::move(key.error()).context("private key"));
  auto psk = IpsecKey::parse(lines[4]);
  if (!psk) return fail(std::move(psk.error()).context("pre-shared key"));
  return Session({generation, *tag, std::chrono::nanoseconds(*drawn_at)}, std::move(*key), std::move(*psk));
}

Result<SecretBuffer> session_text(const Session& session) {
  const auto head = std::string(kHeader) + "\n" + std::to_string(session.tag()) + "\n" +
                    std::to_string(session.drawn_at().count()) + "\n";
  const auto key = session.private_key().base64();
  if (!key) return fail(key.error());
  const auto psk = session.psk().line();
  if (!psk) return fail(psk.error());
  auto out = SecretBuffer::make(head.size() + kKeyCharacters + 1 + psk->chars().size() + 1);
  if (!out) return out;
  auto next = std::ranges::copy(head, out->chars().begin()).out;
  next = std::ranges::copy(key->chars().first(kKeyCharacters), next).out;
  *next++ = '\n';
  next = std::ranges::copy(psk->chars(), next).out;
  *next = '\n';
  return out;
}

std::string pairs_header(const Session& session) {
  return "sheath-pairs 1 " + session.public_key().text() + "\n";
}

// The file as it is now, also after its name is gone or another's; none when it does not exist.
Result<UniqueFd> open_to_wipe(const fs::path& path) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd && errno != ENOENT) return fail(Error::system("open " + path.string(), errno));
  return fd;
}

Result<> overwrite(const UniqueFd& fd, const fs::path& path) {
  if (!fd) return {};
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) return fail(Error::system("read " + path.string(), errno));
  const std::string zeros(static_cast<std::size_t>(info.st_size), '\0');
  if (pwrite(fd.get(), zeros.data(), zeros.size(), 0) != static_cast<ssize_t>(zeros.size()) || fsync(fd.get()) != 0) {
    return fail(Error::system("wipe " + path.string(), errno));
  }
  return {};
}

Result<> remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) return fail(Error::system("remove " + path.string(), error.value()));
  return {};
}

// Lines behind the header, each "peer key".
RecordedPeers parse_pairs(std::string_view content, const std::string& header) {
  RecordedPeers out;
  if (!content.starts_with(header)) return out;
  for (const auto line : lines_of(content.substr(header.size()))) {
    const auto text = view_of(line);
    const auto blank = text.find(' ');
    if (blank == std::string_view::npos) continue;
    if (const auto key = PublicKey::parse(text.substr(blank + 1))) out[std::string(text.substr(0, blank))] = *key;
  }
  return out;
}

std::string pair_lines(const RecordedPeers& peers) {
  std::string out;
  for (const auto& [peer, key] : peers) out += peer + " " + key.text() + "\n";
  return out;
}

Result<std::string> read_at(const UniqueFd& fd, const fs::path& path, off_t offset, std::size_t size) {
  std::string out(size, '\0');
  const auto count = pread(fd.get(), out.data(), out.size(), offset);
  if (count < 0) return fail(Error::system("read " + path.string(), errno));
  out.resize(static_cast<std::size_t>(count));
  return out;
}

// All of the lines or none of them, on disk. False: there is no such file, or it begins otherwise.
Result<bool> append(const fs::path& path, const std::string& header, std::string lines) {
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  if (!fd && errno == ENOENT) return false;
  if (!fd) return fail(Error::system("open " + path.string(), errno));
  const auto found = read_at(fd, path, 0, header.size());
  if (!found) return fail(found.error());
  if (*found != header) return false;
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) return fail(Error::system("read " + path.string(), errno));
  const auto last = read_at(fd, path, info.st_size - 1, 1);
  if (!last) return fail(last.error());
  if (*last != "\n") lines.insert(0, "\n");  // a line that was cut short must not swallow the next
  errno = 0;
  if (write(fd.get(), lines.data(), lines.size()) == static_cast<ssize_t>(lines.size()) && fsync(fd.get()) == 0)
    return true;
  const int number = errno == 0 ? ENOSPC : errno;                      // a part of it found room
  [[maybe_unused]] const int cut = ftruncate(fd.get(), info.st_size);  // a part that stays says nothing
  return fail(Error::system("write " + path.string(), number));
}

}  // namespace

fs::path SessionStore::session_file(std::uint8_t generation) const {
  return folder_ / ("session-" + std::to_string(generation));
}

fs::path SessionStore::pairs_file(std::uint8_t generation) const {
  return folder_ / ("pairs-" + std::to_string(generation));
}

// Generations that have a file, by the names there: one look at the folder for fifteen at files that are not there.
Result<std::vector<std::uint8_t>> SessionStore::generations() const {
  std::error_code error;
  std::set<std::string> names;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
    names.insert(entry->path().filename().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(Error::system("read " + folder_.string(), error.value()));
  }
  std::vector<std::uint8_t> out;
  for (std::uint8_t generation = 1; generation <= kMaxKeyId; ++generation) {
    if (names.contains(session_file(generation).filename().string())) out.push_back(generation);
  }
  return out;
}

Result<Sessions> SessionStore::load() const {
  Sessions out;
  const auto there = generations();
  if (!there) return fail(there.error());
  for (const auto generation : *there) {
    const auto path = session_file(generation);
    const auto what = "session file " + path.string();
    const auto content = read_secret_file(path, {.what = what, .forbidden = 077, .max_bytes = kMaxSessionFile});
    if (!content && content.error().error_number() == ENOENT) continue;
    if (!content) return fail(content.error());
    auto session = parse_session(content->text(), generation);
    if (!session) {
      return fail(std::move(session.error())
                      .context(what)
                      .hint("remove it: this node then draws a new session, and its peers follow"));
    }
    out.emplace(generation, std::move(*session));
  }
  return out;
}

bool SessionStore::empty() const {
  std::error_code ignored;
  return !fs::exists(folder_, ignored) || fs::is_empty(folder_, ignored);
}

Result<> SessionStore::save(const Session& session) const {
  if (auto made = make_directories(folder_, kFolderMode); !made) return made;
  const auto text = session_text(session);
  if (!text) return fail(text.error());
  const auto path = session_file(session.generation());
  const auto old = open_to_wipe(path);
  if (!old) return fail(old.error());
  auto written = write_file_atomically(path, {text->chars().data(), text->chars().size()}, kFileMode);
  return written ? overwrite(*old, path) : written;
}

Result<> SessionStore::wipe(std::uint8_t generation) const {
  const auto path = session_file(generation);
  const auto fd = open_to_wipe(path);
  if (!fd) return fail(fd.error());
  if (auto wiped = overwrite(*fd, path); !wiped) return wiped;
  if (auto removed = remove_file(path); !removed) return removed;
  return remove_file(pairs_file(generation));
}

Result<> SessionStore::wipe_all() const {
  for (std::uint8_t generation = 1; generation <= kMaxKeyId; ++generation) {
    if (auto wiped = wipe(generation); !wiped) return wiped;
  }
  std::error_code ignored;
  fs::remove(folder_, ignored);
  return {};
}

Result<RecordedPeers> SessionStore::recorded(const Session& session) const {
  const auto content = read_file(pairs_file(session.generation()));
  if (!content && content.error().error_number() == ENOENT) return RecordedPeers{};
  if (!content) return fail(content.error());
  return parse_pairs(*content, pairs_header(session));
}

// A few are appended, so that one peer more costs the same in a large cluster; many are written anew with the rest, and
// what was said of them before goes.
Result<> SessionStore::record(const Session& session, const RecordedPeers& peers) const {
  if (peers.size() <= kAppendedAtOnce) {
    const auto appended = append(pairs_file(session.generation()), pairs_header(session), pair_lines(peers));
    if (!appended) return fail(appended.error());
    if (*appended) return {};
  }
  auto known = recorded(session);
  if (!known) return fail(std::move(known.error()));
  for (const auto& [peer, key] : peers) (*known)[peer] = key;
  return write_file_atomically(pairs_file(session.generation()), pairs_header(session) + pair_lines(*known), kFileMode);
}

}  // namespace sheath::keys
