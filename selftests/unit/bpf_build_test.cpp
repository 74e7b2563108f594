// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <openssl/sha.h>

#include <array>
#include <set>

#include "loader/bpf/object.hpp"
#include "loader/bpf/program.hpp"
#include "maps/names.hpp"

namespace sheath::bpf {

TEST_CASE("programs: the build ID of each is of the object that this binary carries, and no two are the same") {
  std::set<std::uint64_t> seen;
  for (const auto& direction : maps::directions()) {
    const auto image = program_image(direction.direction);
    REQUIRE(image.size() > 1000);
    std::array<unsigned char, SHA256_DIGEST_LENGTH> hash{};
    SHA256(reinterpret_cast<const unsigned char*>(image.data()), image.size(), hash.data());
    std::uint64_t id = 0;
    for (std::size_t i = 0; i < sizeof id; ++i) id = id << 8 | hash.at(i);
    CHECK(build_id(direction.direction) == id);
    CHECK(id != 0);
    CHECK(seen.insert(id).second);
  }
}

}  // namespace sheath::bpf
