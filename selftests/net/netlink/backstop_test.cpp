// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/netlink.h>

#include <cerrno>
#include <cstdlib>

#include "loader/netlink/backstop.hpp"
#include "loader/netlink/netfilter.hpp"
#include "sandbox.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

BackstopRules rules() {
  return {true,
          {1},
          {"eth0"},
          {*Cidr::parse("10.244.0.0/16"), *Cidr::parse("fd00:10:244::/48")},
          {*Cidr::parse("10.244.1.0/24"), *Cidr::parse("fd00:10:244:1::/64")}};
}

BackstopReport report() {
  const auto found = find_backstop();
  REQUIRE_MESSAGE(found, (found ? "" : found.error().what()));
  REQUIRE(found->has_value());
  return **found;
}

void nft(const std::string& command) {
  REQUIRE(std::system(("nft " + command).c_str()) == 0);  // NOLINT(bugprone-command-processor): tests run as they are
}

}  // namespace

TEST_CASE("live backstop: it is written, found, replaced and removed") {
  const Sandbox sandbox;
  CHECK_FALSE(find_backstop()->has_value());
  CHECK(remove_backstop());
  REQUIRE(replace_backstop(rules(), 4711));
  CHECK(report().digest == 4711);
  CHECK(report().intact);
  CHECK(report().packets == 0);
  CHECK(list_forward_filters()->empty());
  REQUIRE(replace_backstop(rules(), 4712));
  CHECK(report().digest == 4712);
  nft("list table inet sheath | grep -q 'oifname \"eth0\" accept'");
  nft("list table inet sheath | grep -q 'ip6 daddr fd00:10:244::/48 counter packets 0 bytes 0 drop'");
  auto counting = rules();
  counting.drops = false;
  REQUIRE(replace_backstop(counting, 4713));
  nft("list table inet sheath | grep -q 'ip6 daddr fd00:10:244::/48 counter packets 0 bytes 0 accept'");
  REQUIRE(remove_backstop());
  CHECK_FALSE(find_backstop()->has_value());
}

TEST_CASE("live backstop: one that somebody changed, emptied or switched off is not intact") {
  const Sandbox sandbox;
  REQUIRE(replace_backstop(rules(), 1));
  nft("add rule inet sheath leaving accept");
  CHECK_FALSE(report().intact);
  REQUIRE(replace_backstop(rules(), 2));
  CHECK(report().intact);
  nft("flush chain inet sheath to_pods");
  CHECK_FALSE(report().intact);
  REQUIRE(replace_backstop(rules(), 3));
  nft("add table inet sheath '{ flags dormant; }'");
  CHECK_FALSE(report().intact);
  nft("delete table inet sheath");
  nft("add table inet sheath");
  CHECK_FALSE(report().intact);
}

TEST_CASE("live backstop: a transaction that the kernel refuses changes nothing, and says why") {
  const Sandbox sandbox;
  REQUIRE(replace_backstop(rules(), 1));
  auto messages = encode_backstop(rules(), 2);
  messages.erase(messages.begin() + 5);  // the chain that others go to
  auto socket = *Socket::open(NETLINK_NETFILTER);
  const auto refused = socket.transaction(messages, 10);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().error_number() == ENOENT);
  CHECK(report().digest == 1);
  CHECK(report().intact);
  REQUIRE(socket.transaction({}, 10));
}
