// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "loader/base/address.hpp"

using namespace sheath;

TEST_CASE("address: text in, canonical text out") {
  struct Case {
    std::string_view in, out;
    Family family;
  };
  for (const auto& [in, out, family] :
       {Case{"10.244.1.7", "10.244.1.7", Family::kIpv4}, Case{"255.255.255.255", "255.255.255.255", Family::kIpv4},
        Case{"FD00:0:0::1", "fd00::1", Family::kIpv6}, Case{"::", "::", Family::kIpv6}}) {
    CAPTURE(in);
    const auto address = IpAddress::parse(in);
    REQUIRE(address);
    CHECK(address->text() == out);
    CHECK(address->family == family);
    CHECK(address->size() == (family == Family::kIpv4 ? 4 : 16));
  }
}

TEST_CASE("address: what is none is a misuse that quotes it") {
  using namespace std::string_view_literals;
  for (const auto text : {""sv, "10.244.1"sv, "10.244.1.256"sv, "10.244.1.7 "sv, "010.1.1.1"sv, "fd00::g"sv,
                          "fd00::1%eth0"sv, "1:2:3:4:5:6:7:8:9"sv, "10.0.0.1\0"sv, "fd00::1\0x"sv, "10.244.1.7/24"sv}) {
    CAPTURE(text);
    const auto address = IpAddress::parse(text);
    REQUIRE_FALSE(address.has_value());
    CHECK(address.error().kind() == ErrorKind::kMisuse);
    CHECK(address.error().what().find(std::string(text)) != std::string::npos);
  }
}

TEST_CASE("address: IPv4 and its mapped form are each other's way back") {
  const auto address = *IpAddress::parse("172.18.0.4");
  const auto mapped = address.mapped();
  CHECK(IpAddress{Family::kIpv6, mapped}.text() == "::ffff:172.18.0.4");
  CHECK(IpAddress::from_mapped(mapped) == address);
  const auto v6 = *IpAddress::parse("fd00::4");
  CHECK(v6.mapped() == v6.bytes);
  CHECK(IpAddress::from_mapped(v6.mapped()) == v6);
}

TEST_CASE("cidr: text in, text out, at the ends of the length") {
  for (const char* text : {"10.244.0.0/16", "0.0.0.0/0", "10.244.1.7/32", "fd00:10:244::/56", "::/0", "fd00::1/128"}) {
    CAPTURE(text);
    const auto cidr = Cidr::parse(text);
    REQUIRE(cidr);
    CHECK(cidr->text() == text);
  }
}

TEST_CASE("cidr: host bits that are set are refused, with the network that was probably meant") {
  struct Case {
    const char *text, *meant;
  };
  for (const auto& [text, meant] : {Case{"10.244.1.7/24", "10.244.1.0/24"}, Case{"10.244.1.1/31", "10.244.1.0/31"},
                                    Case{"128.0.0.0/0", "0.0.0.0/0"}, Case{"fd00::1/64", "fd00::/64"}}) {
    CAPTURE(text);
    const auto cidr = Cidr::parse(text);
    REQUIRE_FALSE(cidr.has_value());
    CHECK(cidr.error().kind() == ErrorKind::kMisuse);
    CHECK(cidr.error().hint().find(meant) != std::string::npos);
  }
}

TEST_CASE("cidr: a missing, wrong or too long length is refused") {
  for (const char* text : {"10.244.0.0", "10.244.0.0/", "10.244.0.0/33", "fd00::/129", "10.244.0.0/-1", "10.244.0.0/+8",
                           "10.244.0.0/8 ", "10.244.0.0/256", "/24", "10.244/16", "10.244.0.0/16/16"}) {
    CAPTURE(text);
    CHECK_FALSE(Cidr::parse(text).has_value());
  }
}

TEST_CASE("cidr: contains and overlaps, within one family only") {
  const auto wide = *Cidr::parse("10.244.0.0/16");
  const auto narrow = *Cidr::parse("10.244.3.0/25");
  CHECK(wide.contains(narrow));
  CHECK_FALSE(narrow.contains(wide));
  CHECK(narrow.overlaps(wide));
  CHECK(wide.overlaps(narrow));
  CHECK(narrow.contains(*IpAddress::parse("10.244.3.127")));
  CHECK_FALSE(narrow.contains(*IpAddress::parse("10.244.3.128")));
  CHECK_FALSE(narrow.overlaps(*Cidr::parse("10.244.3.128/25")));
  CHECK_FALSE(Cidr::parse("0.0.0.0/0")->contains(*IpAddress::parse("::1")));
  CHECK_FALSE(Cidr::parse("::/0")->contains(*IpAddress::parse("10.0.0.1")));
  CHECK(Cidr::host(*IpAddress::parse("fd00::1")).text() == "fd00::1/128");
}

TEST_CASE("endpoint: IPv6 has brackets") {
  CHECK(Endpoint{*IpAddress::parse("172.18.0.4"), 51871}.text() == "172.18.0.4:51871");
  CHECK(Endpoint{*IpAddress::parse("fd00::4"), 51871}.text() == "[fd00::4]:51871");
}
