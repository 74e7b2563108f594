// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <type_traits>

#include "loader/keys/secret.hpp"
#include "loader/keys/wireguard_key.hpp"

using sheath::keys::PrivateKey;
using sheath::keys::SecretBuffer;

namespace {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

// The flags ("rd wr lo dd") of the mapping that `address` lies in.
std::string mapping_flags(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t start = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    if (std::istringstream(line) >> std::hex >> start >> dash >> end && dash == '-') {
      inside = start <= wanted && wanted < end;
    } else if (inside && line.starts_with("VmFlags:")) {
      return line + " ";
    }
  }
  return "";
}

}  // namespace

TEST_CASE("secret memory: cannot be copied, compared or printed") {
  static_assert(!std::is_copy_constructible_v<SecretBuffer>);
  static_assert(!std::is_copy_assignable_v<SecretBuffer>);
  static_assert(!std::equality_comparable<SecretBuffer>);
  static_assert(!Printable<SecretBuffer>);
  static_assert(!std::is_copy_constructible_v<PrivateKey>);
  static_assert(!std::equality_comparable<PrivateKey>);
  static_assert(!Printable<PrivateKey>);
}

TEST_CASE("secret memory: starts as zeros and holds what is written") {
  auto buffer = SecretBuffer::make(32);
  REQUIRE(buffer);
  CHECK(buffer->bytes().size() == 32);
  CHECK(std::ranges::all_of(buffer->bytes(), [](auto byte) { return byte == 0; }));
  buffer->bytes()[31] = 7;
  CHECK(std::as_const(*buffer).bytes()[31] == 7);
  CHECK(buffer->chars()[31] == '\a');
}

TEST_CASE("secret memory: what served before is zeros again, and still locked and hidden") {
  const void* place = nullptr;
  {
    auto before = SecretBuffer::make(32);
    REQUIRE(before);
    place = before->bytes().data();
    std::ranges::fill(before->bytes(), std::uint8_t{7});
  }
  const auto after = SecretBuffer::make(64);
  REQUIRE(after);
  CHECK(after->bytes().data() == place);
  CHECK(std::ranges::all_of(after->bytes(), [](auto byte) { return byte == 0; }));
  const auto flags = mapping_flags(after->bytes().data());
  CHECK(flags.find(" lo ") != std::string::npos);
  CHECK(flags.find(" dd ") != std::string::npos);
}

TEST_CASE("secret memory: one larger than a page has its own") {
  auto buffer = SecretBuffer::make(5000);
  REQUIRE(buffer);
  CHECK(buffer->bytes().size() == 5000);
  buffer->bytes()[4999] = 1;
}

TEST_CASE("secret memory: is left out of core dumps") {
  const auto buffer = SecretBuffer::make(32);
  REQUIRE(buffer);
  CHECK(mapping_flags(buffer->bytes().data()).find(" dd ") != std::string::npos);
}

TEST_CASE("secret memory: is locked") {
  const auto buffer = SecretBuffer::make(32);
  REQUIRE(buffer);
  CHECK(mapping_flags(buffer->bytes().data()).find(" lo ") != std::string::npos);
}

TEST_CASE("secret memory: is refused where it cannot be locked") {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_MEMLOCK, &none);
    // Root is above the limit: be nobody.
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(3);
    const auto buffer = SecretBuffer::make(32);
    if (buffer) _exit(1);
    _exit(buffer.error().what().starts_with("lock 4096 bytes of secret memory: ") && !buffer.error().hint().empty()
              ? 0
              : 2);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("secret memory: a move leaves nothing behind") {
  auto from = SecretBuffer::make(32);
  REQUIRE(from);
  from->bytes()[0] = 1;
  const auto* const place = from->bytes().data();
  const SecretBuffer to = std::move(*from);
  CHECK(to.bytes().data() == place);
  CHECK(from->bytes().empty());
}
