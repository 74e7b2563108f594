// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <vector>

#include "loader/base/file.hpp"
#include "loader/keys/key_file.hpp"
#include "selftests/unit/temporary_folder.hpp"

using sheath::keys::load_or_create_private_key;
using sheath::keys::load_private_key;
using sheath::keys::PublicKey;
using sheath::test::mode_of;
using sheath::test::TemporaryFolder;

namespace {

// Alice's of RFC 7748, section 6.1.
constexpr const char* kPrivate = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
constexpr const char* kPublic = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

}  // namespace

TEST_CASE("key file: a line as wg genkey writes it is read") {
  const TemporaryFolder folder;
  for (const char* end : {"", "\n", "\r\n", " \n"}) {
    const auto key = load_private_key(folder.write("key", std::string(kPrivate) + end));
    REQUIRE(key);
    CHECK(key->public_key().text() == kPublic);
  }
}

TEST_CASE("key file: what others may read is refused, with what to do") {
  const TemporaryFolder folder;
  for (const mode_t mode : {0640u, 0604u, 0620u, 0601u}) {
    CAPTURE(mode);
    const auto path = folder.write("key", kPrivate, mode);
    const auto key = load_private_key(path);
    REQUIRE(!key);
    char octal[8];
    std::snprintf(octal, sizeof octal, "%04o", mode);
    CHECK(key.error().what() ==
          "private key " + path.string() + ": others than its owner have access (mode " + octal + ")");
    CHECK(key.error().hint() == "chmod 600 " + path.string());
  }
}

TEST_CASE("key file: bad content is named, never repeated") {
  struct Case {
    const char* what;
    std::string content;
    const char* reason;
  };
  const Case cases[] = {
      {"empty", "", "is empty"},
      {"blank", "\n\n", "is empty"},
      {"truncated", std::string(kPrivate).substr(0, 30) + "\n", "has 30 characters where a WireGuard key has 44"},
      {"two lines", std::string(kPrivate) + "\n" + kPrivate + "\n", "has more than one line"},
      {"garbage", std::string(44, '\xff'), "is not 32 bytes in base64"},
      {"too much", std::string(5000, 'A'), "has 256 characters where a WireGuard key has 44"},
      {"zeros", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "is the all-zero key"},
  };
  const TemporaryFolder folder;
  for (const auto& c : cases) {
    CAPTURE(c.what);
    const auto path = folder.write("key", c.content);
    // A file that is there is never replaced, however bad it is.
    for (const auto& key : {load_private_key(path), load_or_create_private_key(path)}) {
      REQUIRE(!key);
      CHECK(key.error().what() == "private key " + path.string() + ": " + c.reason);
      CHECK(key.error().kind() == sheath::ErrorKind::kMisuse);
    }
    CHECK(sheath::read_file(path).value() == c.content);
  }
}

TEST_CASE("key file: an absent file can be told from a bad one") {
  const TemporaryFolder folder;
  const auto key = load_private_key(folder / "key");
  REQUIRE(!key);
  CHECK(key.error().error_number() == ENOENT);
  CHECK(key.error().what() == "read private key " + (folder / "key").string() + ": No such file or directory (ENOENT)");
}

TEST_CASE("key file: a folder or a FIFO in its place is refused without waiting") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "key");
  REQUIRE(mkfifo((folder / "fifo").c_str(), 0600) == 0);
  for (const char* name : {"key", "fifo"}) {
    const auto key = load_or_create_private_key(folder / name);
    REQUIRE(!key);
    CHECK(key.error().what() == "private key " + (folder / name).string() + ": is not a regular file");
  }
}

TEST_CASE("key file: is made on first use, for its owner only, and kept") {
  const TemporaryFolder folder;
  const auto path = folder / "state" / "wireguard.key";
  const mode_t old = umask(0);
  const auto made = load_or_create_private_key(path);
  umask(old);
  REQUIRE(made);
  CHECK(mode_of(path) == 0600);
  CHECK(mode_of(path.parent_path()) == 0700);
  CHECK(files_in(path.parent_path()) == 1);
  CHECK(sheath::read_file(path)->size() == 45);
  const auto again = load_or_create_private_key(path);
  REQUIRE(again);
  CHECK(again->public_key() == made->public_key());
}

TEST_CASE("private key: its public half is its own whenever it is asked for, however many others were meanwhile") {
  std::vector<sheath::keys::PrivateKey> keys;
  for (int i = 0; i < 12; ++i) keys.push_back(sheath::keys::PrivateKey::generate().value());
  std::set<PublicKey> different;
  for (const auto& key : keys) different.insert(key.public_key());
  CHECK(different.size() == keys.size());
  for (int turn = 0; turn < 2; ++turn) {
    for (const auto& key : keys) {
      const auto again = sheath::keys::PrivateKey::from_bytes(key.bytes().first<sheath::keys::kKeyBytes>()).value();
      CHECK(again.public_key() == key.public_key());
      CHECK(std::ranges::equal(again.bytes(), key.bytes()));
    }
  }
}

TEST_CASE("key file: eight processes that make it at once end with one key") {
  const TemporaryFolder folder;
  const auto path = folder / "wireguard.key";
  std::array<int, 2> results{};
  std::array<int, 2> start{};
  REQUIRE(pipe(results.data()) == 0);
  REQUIRE(pipe(start.data()) == 0);
  constexpr int kProcesses = 8;
  std::array<pid_t, kProcesses> children{};
  for (auto& child : children) {
    child = fork();
    if (child != 0) continue;
    close(start[1]);
    char byte = 0;
    if (read(start[0], &byte, 1) != 0) _exit(2);  // returns when the parent closes its end: all start together
    const auto key = load_or_create_private_key(path);
    if (!key) _exit(1);
    const auto& bytes = key->public_key().bytes;
    _exit(write(results[1], bytes.data(), bytes.size()) == ssize_t{32} ? 0 : 1);
  }
  close(start[0]);
  close(start[1]);
  for (const pid_t child : children) {
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  const auto kept = load_private_key(path);
  REQUIRE(kept);
  for (int i = 0; i < kProcesses; ++i) {
    PublicKey seen;
    REQUIRE(read(results[0], seen.bytes.data(), seen.bytes.size()) == 32);
    CHECK(seen == kept->public_key());
  }
  CHECK(files_in(folder.path()) == 1);
  close(results[0]);
  close(results[1]);
}
