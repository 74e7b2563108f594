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
          {*Cidr::parse("10.244.1.0/24"), *Cidr::parse("fd00:10:244:1::/64")},
          {}};
}

IpAddress address(const std::string& text) {
  return *IpAddress::parse(text);
}

BackstopRules node_rules() {
  auto out = rules();
  out.nodes = {{address("172.18.0.2"), address("fd00:172::2")},
               {address("172.18.0.3"), address("172.18.0.4"), address("fd00:172::3")},
               {},
               0xe00,
               51871,
               8472};
  for (const auto* text : {"10.244.2.0/24", "10.244.3.0/24", "10.244.9.0/25", "10.244.9.64/26", "255.0.0.0/8",
                           "fd00:10:244:2::/64", "ffff::/16"}) {
    out.nodes.pods.insert(*Cidr::parse(text));
  }
  return out;
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

TEST_CASE("live backstop: node traffic, with peers and their pods in constant sets") {
  const Sandbox sandbox;
  REQUIRE(replace_backstop(node_rules(), 1));
  CHECK(report().intact);
  for (const auto* line :
       {"elements = { 172.18.0.3, 172.18.0.4 }", "elements = { fd00:172::3 }",
        // What follows or contains one another is one range, and the last has no end.
        "elements = { 10.244.2.0/23, 10.244.9.0/25,", "255.0.0.0/8 }", "ffff::/16 }",
        "ip saddr 172.18.0.2 ip daddr @peers4 goto node_leaving",
        "ip6 saddr fd00:172::2 ip6 daddr @pods6 goto node_leaving",
        "ip daddr 172.18.0.2 ip saddr @pods4 goto node_arriving",
        "ip saddr 10.244.1.0/24 ip daddr @peers4 goto node_leaving",
        "ip6 daddr fd00:10:244:1::/64 ip6 saddr @peers6 goto node_arriving", "meta mark 0x00000e00 accept",
        "udp sport 51871 udp dport 51871 accept", "udp dport 8472 accept", "counter packets 0 bytes 0 drop"}) {
    CAPTURE(line);
    nft("list table inet sheath | tr -s '[:space:]' ' ' | grep -qF '" + std::string(line) + "'");
  }
  CHECK(std::system("nft add element inet sheath peers4 '{ 1.2.3.4 }' 2>/dev/null") != 0);        // NOLINT
  CHECK(std::system("nft delete element inet sheath peers4 '{ 172.18.0.3 }' 2>/dev/null") != 0);  // NOLINT
  auto esp = node_rules();
  esp.nodes.wireguard_port = 0;
  nft("list chain inet sheath leaving | grep -c 'rt ipsec' | grep -qx 0");
  esp.xfrm_encrypts = true;
  REQUIRE(replace_backstop(esp, 2));
  nft("list chain inet sheath node_arriving | grep -q 'meta l4proto esp accept'");
  nft("list chain inet sheath leaving | grep -q 'rt ipsec exists accept'");
}

TEST_CASE("live backstop: ten thousand peers are written at once") {
  const Sandbox sandbox;
  auto many = node_rules();
  for (int i = 0; i < 10'000; ++i) {
    const auto numbers = std::to_string(i / 250) + "." + std::to_string(i % 250);
    many.nodes.peers.insert(address("11." + numbers + ".1"));
    many.nodes.pods.insert(*Cidr::parse("12." + numbers + ".0/24"));
    many.nodes.pods.insert(*Cidr::parse("fd01:" + std::to_string(i) + "::/64"));
  }
  REQUIRE(replace_backstop(many, 1));
  CHECK(report().intact);
  nft("list set inet sheath peers4 | tr , '\\n' | grep -c '11\\.' | grep -qx 10000");
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
