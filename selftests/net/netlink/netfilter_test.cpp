// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "loader/base/file.hpp"
#include "loader/netlink/netfilter.hpp"
#include "sandbox.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

// In the namespace of this thread. The tools are the reference here: what they set up has to be seen.
bool run(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

std::vector<std::string> texts() {
  const auto findings = list_forward_filters();
  REQUIRE_MESSAGE(findings, (findings ? "" : findings.error().what()));
  std::vector<std::string> out;
  for (const FilterFinding& finding : *findings) out.push_back(finding.text());
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("live netfilter: a namespace without rules has no findings, and looking makes no table") {
  Sandbox sandbox;
  CHECK(texts().empty());
  const auto names = read_file("/proc/thread-self/net/ip_tables_names");
  if (names) CHECK(names->empty());
}

TEST_CASE("live netfilter: nftables chains that forwarded packets pass") {
  Sandbox sandbox;
  if (!run("nft add table ip kube")) return skip("live netfilter: nftables", "nft or nf_tables is not there");
  REQUIRE(run("nft add chain ip kube services"));
  REQUIRE(run("nft add chain ip kube input '{ type filter hook input priority 0; policy drop; }'"));
  REQUIRE(run("nft add chain ip kube forward '{ type filter hook forward priority 0; }'"));
  REQUIRE(run("nft add rule ip kube services counter accept"));
  REQUIRE(run("nft add rule ip kube input counter"));
  CHECK(texts().empty());

  for (int i = 0; i < 3; ++i) REQUIRE(run("nft add rule ip kube forward jump services"));
  CHECK(texts() == Texts{"nft table ip kube chain forward: 3 rules"});
  REQUIRE(run("nft flush chain ip kube forward"));
  CHECK(texts().empty());
  REQUIRE(run("nft add table inet guard"));
  REQUIRE(run("nft add chain inet guard post '{ type filter hook postrouting priority 0; policy drop; }'"));
  CHECK(texts() == Texts{"nft table inet guard chain post: policy drop"});
  if (run("nft add table inet guard '{ flags dormant; }'")) CHECK(texts().empty());
}

TEST_CASE("live netfilter: a chain bound to a device names it") {
  Sandbox sandbox;
  sandbox.add_veth("lxc1", "eth0");
  if (!run("nft add table netdev fence")) return skip("live netfilter: netdev", "nft or nf_tables is not there");
  REQUIRE(run("nft add chain netdev fence in '{ type filter hook ingress device lxc1 priority 0; }'"));
  REQUIRE(run("nft add rule netdev fence in counter"));
  CHECK(texts() == Texts{"nft table netdev fence chain in on lxc1: 1 rule"});
}

TEST_CASE("live netfilter: the older iptables, both families") {
  Sandbox sandbox;
  if (!run("iptables-legacy -t filter -A INPUT -j ACCEPT")) {
    return skip("live netfilter: iptables-legacy", "iptables-legacy or ip_tables is not there");
  }
  CHECK(texts().empty());
  REQUIRE(run("iptables-legacy -A FORWARD -s 10.0.0.0/8 -j DROP"));
  REQUIRE(run("iptables-legacy -A FORWARD -j ACCEPT"));
  CHECK(texts() == Texts{"iptables table filter chain FORWARD: 2 rules"});
  REQUIRE(run("iptables-legacy -F"));
  REQUIRE(run("iptables-legacy -P FORWARD DROP"));
  CHECK(texts() == Texts{"iptables table filter chain FORWARD: policy drop"});
  REQUIRE(run("iptables-legacy -P FORWARD ACCEPT"));
  CHECK(texts().empty());

  if (!run("ip6tables-legacy -A FORWARD -j ACCEPT")) return skip("live netfilter: ip6tables-legacy", "it is not there");
  CHECK(texts() == Texts{"ip6tables table filter chain FORWARD: 1 rule"});
}

TEST_CASE("live netfilter: kube-proxy's kind of translation in the nat table") {
  Sandbox sandbox;
  const std::string rule = " -t nat -A PREROUTING -d 10.96.0.10 -p udp -j DNAT --to-destination 10.244.2.2";
  for (const std::string tool : {"iptables-legacy", "iptables-nft"}) {
    CAPTURE(tool);
    Sandbox fresh;
    if (!run(tool + rule)) {
      skip("live netfilter: " + tool + " nat", "the tool or its modules are not there");
      continue;
    }
    const bool legacy = tool == "iptables-legacy";
    CHECK(texts() ==
          Texts{std::string(legacy ? "iptables table nat" : "nft table ip nat") + " chain PREROUTING: 1 rule"});
  }
}
