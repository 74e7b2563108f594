// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "loader/base/file.hpp"
#include "loader/base/sysctl.hpp"
#include "selftests/unit/temporary_folder.hpp"

using namespace sheath;
namespace fs = std::filesystem;

namespace {

// A folder of its own, gone at the end.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "sheath_unit.XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path_); }

  fs::path operator/(const char* name) const { return path_ / name; }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }

 private:
  fs::path path_;
};

}  // namespace

TEST_CASE("file: what is written is read back, zero bytes included, with the mode asked for") {
  const Folder folder;
  const std::string content("a\0b\n", 4);
  const mode_t before = umask(0077);
  REQUIRE(write_file_atomically(folder / "f", content, 0644));
  umask(before);
  CHECK(*read_file(folder / "f") == content);
  CHECK(test::mode_of(folder / "f") == 0644);
  REQUIRE(write_file_atomically(folder / "f", "", 0600));
  CHECK(read_file(folder / "f")->empty());
  CHECK(test::mode_of(folder / "f") == 0600);
}

TEST_CASE("file: a replaced file is another file, so that who reads the old one reads it to its end") {
  const Folder folder;
  REQUIRE(write_file_atomically(folder / "f", "old", 0600));
  fs::create_hard_link(folder / "f", folder / "reader");
  REQUIRE(write_file_atomically(folder / "f", "new", 0600));
  CHECK(*read_file(folder / "reader") == "old");
  CHECK(*read_file(folder / "f") == "new");
}

TEST_CASE("file: a write that fails leaves nothing behind, and names the path") {
  const Folder folder;
  fs::create_directory(folder / "taken");
  const auto written = write_file_atomically(folder / "taken", "x", 0600);
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error().what().find((folder / "taken").string()) != std::string::npos);
  CHECK(folder.files() == 1);

  const auto nowhere = write_file_atomically(folder / "no/such", "x", 0600);
  REQUIRE_FALSE(nowhere.has_value());
  CHECK(nowhere.error().error_number() == ENOENT);
}

TEST_CASE("file: reading stops at the limit and at folders") {
  CHECK_FALSE(read_file("/dev/zero", 1000).has_value());
  CHECK(read_file("/").error().error_number() == EISDIR);
  const auto absent = read_file("/no/such/file");
  CHECK(absent.error().what() == "read /no/such/file: No such file or directory (ENOENT)");
}

TEST_CASE("file: folders are made with their parents; one that exists is fine, a file in the way is not") {
  const Folder folder;
  REQUIRE(make_directories(folder / "a/b/c", 0700));
  CHECK(test::mode_of(folder / "a/b") == 0700);
  CHECK(make_directories(folder / "a/b/c"));
  REQUIRE(write_file_atomically(folder / "f", "", 0600));
  CHECK(make_directories(folder / "f/g").error().error_number() == ENOTDIR);
}

TEST_CASE("sysctl: read without the newline; one that does not exist is ENOENT") {
  CHECK(*read_sysctl("kernel/ostype") == "Linux");
  CHECK(read_sysctl("kernel/no_such").error().error_number() == ENOENT);
  CHECK(write_sysctl("kernel/no_such", "1").error().error_number() == ENOENT);
}
