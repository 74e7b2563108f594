// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include "loader/state/nearest.hpp"
#include "loader/state/value_parsers.hpp"

using namespace sheath::state;
using std::chrono::seconds;

namespace {

// The error's text, "" for none.
template <typename T>
std::string refusal(const sheath::Result<T>& result) {
  return result ? "" : result.error().what();
}

}  // namespace

TEST_CASE("values: booleans are true and false, nothing else") {
  CHECK(parse_bool("true").value());
  CHECK(!parse_bool("false").value());
  for (const char* text : {"yes", "True", "1", "", " true"}) {
    CHECK(refusal(parse_bool(text)) == "\"" + std::string(text) + "\" is neither true nor false");
  }
}

TEST_CASE("values: a number keeps to its range") {
  CHECK(parse_number("1", {1, 65535}).value() == 1);
  CHECK(parse_number("65535", {1, 65535}).value() == 65535);
  CHECK(refusal(parse_number("0", {1, 65535})) == "0 is out of range (1..65535)");
  CHECK(refusal(parse_number("65536", {1, 65535})) == "65536 is out of range (1..65535)");
  CHECK(refusal(parse_number("99999999999999999999", {0, 9})) == "99999999999999999999 is out of range (0..9)");
  for (const char* text : {"", "-1", "+1", "1.5", "0x10", "12a", " 12"}) {
    CHECK(refusal(parse_number(text, {1, 65535})) == "\"" + std::string(text) + "\" is not a number (1..65535)");
  }
}

TEST_CASE("values: durations have units") {
  CHECK(parse_duration("30s").value() == seconds(30));
  CHECK(parse_duration("5m").value() == seconds(300));
  CHECK(parse_duration("8h").value() == seconds(28800));
  CHECK(parse_duration("1h30m5s").value() == seconds(5405));
  for (const char* text : {"", "5", "5d", "m", "-5m", "5m3", "1.5h", "99999999999s"}) {
    CHECK(refusal(parse_duration(text)) == "\"" + std::string(text) + "\" is not a duration, such as 30s, 5m or 8h");
  }
  CHECK(refusal(parse_duration("5s", {seconds(60), seconds(3600)})) == "5s is out of range (1m..1h)");
  CHECK(refusal(parse_duration("2h", {seconds(60), seconds(3600)})) == "2h is out of range (1m..1h)");
}

TEST_CASE("values: a duration's text reads back") {
  for (const int count : {0, 1, 59, 60, 61, 300, 3600, 3605, 5405, 28800}) {
    CHECK(parse_duration(duration_text(seconds(count))).value() == seconds(count));
  }
  CHECK(duration_text(seconds(28800)) == "8h");
}

TEST_CASE("values: paths are absolute") {
  CHECK(parse_path("/run/sheath").value() == "/run/sheath");
  CHECK(parse_path("/run//x/../sheath").value() == "/run/sheath");
  CHECK(refusal(parse_path("run/sheath")) == "\"run/sheath\" is not an absolute path");
  CHECK(refusal(parse_path("")) == "\"\" is not an absolute path");
  CHECK(refusal(parse_path(std::string_view("/a\0b", 4))) == "the path holds a control character");
}

TEST_CASE("values: device names are the kernel's") {
  CHECK(parse_device("eth0").value() == "eth0");
  CHECK(parse_device("abcdefghijklmno").value() == "abcdefghijklmno");
  CHECK(refusal(parse_device("abcdefghijklmnop")) ==
        "\"abcdefghijklmnop\" is not a device name: it needs 1 to 15 characters");
  CHECK(refusal(parse_device("")) == "\"\" is not a device name: it needs 1 to 15 characters");
  CHECK(refusal(parse_device("eth/0")) == "\"eth/0\" is not a device name: it holds '/', ':' or white space");
  CHECK(refusal(parse_device("eth 0")) == "\"eth 0\" is not a device name: it holds '/', ':' or white space");
  CHECK(refusal(parse_device("..")) == "\"..\" is not a device name");
  CHECK(parse_device_glob("lxc*").value() == "lxc*");
  CHECK(refusal(parse_device_glob("a/*")) ==
        "\"a/*\" is not a pattern of device names: it holds '/', ':' or white space");
  CHECK(refusal(parse_device_glob("")) == "\"\" is not a pattern of device names");
}

TEST_CASE("values: node names are RFC 1123 subdomains, so that they can be file names") {
  for (const char* name : {"kind-worker", "a", "ip-10-0-0-1.eu-west-1.compute.internal", "1"}) {
    CHECK(is_node_name(name));
  }
  for (const char* name :
       {"", ".", "..", "../x", "a/b", "Kind", "a_b", "-a", "a-", "a..b", ".a", "a.", "a b", "\xc3\xa4"}) {
    CAPTURE(name);
    CHECK(!is_node_name(name));
  }
  CHECK(!is_node_name(std::string(64, 'a')));
  CHECK(is_node_name(std::string(63, 'a')));
  const auto label = std::string(62, 'a') + ".";
  CHECK(!is_node_name(label + label + label + label + "aa"));
}

TEST_CASE("values: a node IP is one that another node can send to") {
  for (const char* good : {"172.18.0.2", "10.0.0.1", "192.168.1.1", "203.0.113.9", "fd00:172:18::2", "2001:db8::1"}) {
    CAPTURE(good);
    CHECK(parse_node_ip(good));
  }
  const std::pair<const char*, const char*> bad[] = {
      {"0.0.0.0", "it is not a unicast address"},   {"127.0.0.1", "it is a loopback address"},
      {"224.0.0.1", "it is not a unicast address"}, {"255.255.255.255", "it is not a unicast address"},
      {"169.254.1.1", "it is link-local"},          {"::", "it is not a unicast address"},
      {"::1", "it is not a unicast address"},       {"fe80::1", "it is link-local"},
      {"ff02::1", "it is not a unicast address"},   {"::ffff:10.0.0.1", "it is an IPv4 address in IPv6 form"},
  };
  for (const auto& [text, reason] : bad) {
    CHECK(refusal(parse_node_ip(text)) == "\"" + std::string(text) + "\" cannot be a node IP: " + reason);
  }
  CHECK(refusal(parse_node_ip("10.0.0")) == "\"10.0.0\" is not an IPv4 or IPv6 address");
}

TEST_CASE("values: a pod CIDR is a prefix of unicast addresses") {
  for (const char* good : {"10.244.1.0/24", "10.0.0.0/8", "fd00:10:244::/48", "10.1.1.1/32", "2001:db8::/64"}) {
    CAPTURE(good);
    CHECK(parse_pod_cidr(good));
  }
  const std::pair<const char*, const char*> bad[] = {
      {"0.0.0.0/0", "\"0.0.0.0/0\" cannot be a pod CIDR: it is every address"},
      {"::/0", "\"::/0\" cannot be a pod CIDR: it is every address"},
      {"127.0.0.0/8", "\"127.0.0.0/8\" cannot be a pod CIDR: it or a part of it is a loopback address"},
      {"::/8", "\"::/8\" cannot be a pod CIDR: it or a part of it is not a unicast address"},
      {"::ffff:10.0.0.0/104",
       "\"::ffff:10.0.0.0/104\" cannot be a pod CIDR: it or a part of it is an IPv4 address in IPv6 form"},
      {"10.244.1.0", "\"10.244.1.0\" is not a CIDR: it has no /length"},
      {"10.244.1.0/33", "\"10.244.1.0/33\" is not a CIDR: its length is not 0..32"},
      {"300.1.1.0/24", "\"300.1.1.0/24\" is not a CIDR of IPv4 or IPv6"},
      {"10.244.1.7/24", "\"10.244.1.7/24\" is not a CIDR: host bits are set"},
  };
  for (const auto& [text, message] : bad) CHECK(refusal(parse_pod_cidr(text)) == message);
}

TEST_CASE("nearest name: finds what was meant, and nothing where nothing is near") {
  constexpr std::string_view names[] = {"nodeName", "mode", "devices", "encryption"};
  CHECK(nearest_name("nodename", names) == "nodeName");
  CHECK(nearest_name("node-name", names) == "nodeName");
  CHECK(nearest_name("node_nmae", names) == "nodeName");
  CHECK(nearest_name("moed", names) == "mode");
  CHECK(nearest_name("device", names) == "devices");
  CHECK(nearest_name("encripton", names) == "encryption");
  CHECK(nearest_name("kubeconfig", names) == "");
  CHECK(nearest_name("x", names) == "");
  CHECK(nearest_name("", names) == "");
  CHECK(nearest_name(std::string(100000, 'n'), names) == "");
  CHECK(nearest_hint("devics", names) == "did you mean \"devices\"?");
  CHECK(nearest_hint("kubeconfig", names) == "");
}
