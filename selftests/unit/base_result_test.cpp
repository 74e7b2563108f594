// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cerrno>

#include "loader/base/result.hpp"

using namespace sheath;

TEST_CASE("error: context goes in front, outermost first") {
  const auto error = Error::system("add clsact qdisc", EPERM).context("attach uplink_egress to eth0");
  CHECK(error.what() == "attach uplink_egress to eth0: add clsact qdisc: Operation not permitted (EPERM)");
  CHECK(error.error_number() == EPERM);
  CHECK(error.kind() == ErrorKind::kFailure);
}

TEST_CASE("error: the kernel's own words go behind the number") {
  const auto error = Error::system(EOPNOTSUPP).detail("Unknown device type").context("create cilium_wg0");
  CHECK(error.what() == "create cilium_wg0: Operation not supported (EOPNOTSUPP): Unknown device type");
}

TEST_CASE("error: the innermost hint wins, for it is the nearest to the cause") {
  auto error = Error("inner").hint("needs CAP_NET_ADMIN");
  error = std::move(error).context("outer").hint("try again");
  CHECK(error.hint() == "needs CAP_NET_ADMIN");
}

TEST_CASE("error: a number without a name is shown as it is") {
  CHECK(errno_name(ENOENT) == "ENOENT");
  CHECK(errno_name(9999) == "9999");
  CHECK(Error::system("read", 9999).what() == "read: Unknown error (9999)");
}

TEST_CASE("result: fail keeps kind and number") {
  const Result<int> result = fail(Error::misuse("bad key"));
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().kind() == ErrorKind::kMisuse);
  CHECK(result.error().error_number() == 0);
}
