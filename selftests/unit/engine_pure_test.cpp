// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/if_arp.h>

#include <cstdlib>

#include "loader/engine/executor.hpp"
#include "loader/engine/facts.hpp"
#include "loader/engine/lock.hpp"
#include "loader/engine/pods.hpp"
#include "loader/engine/problems.hpp"
#include "loader/engine/translate.hpp"
#include "selftests/unit/temporary_folder.hpp"

namespace sheath::engine {
namespace {

netlink::Link make_link(std::uint32_t ifindex, const std::string& name, const std::string& kind) {
  netlink::Link link;
  link.ifindex = ifindex;
  link.name = name;
  link.kind = kind;
  return link;
}

netlink::Route host_route(const std::string& address, std::uint32_t ifindex) {
  netlink::Route route;
  route.destination = Cidr::host(IpAddress::parse(address).value());
  route.ifindex = ifindex;
  return route;
}

netlink::FilterFinding finding(std::vector<std::string> devices) {
  netlink::FilterFinding out;
  out.family = "ip";
  out.table = "filter";
  out.chain = "FORWARD";
  out.rules = 2;
  out.devices = std::move(devices);
  return out;
}

// A node on which all is well.
Status healthy() {
  Status status;
  status.installed = true;
  status.pins = plan::Pins::kAll;
  status.bpffs = "/sys/fs/bpf/sheath";
  status.strict = true;
  status.tunnel = {"cilium_wg0", 7, 1420, true, keys::PublicKey{{1}}, 51871, 0xe00, 1};
  const auto live = plan::TunnelReference::kTunnel;
  status.programs = {{"uplink_egress", "eth0", "tcx", 1, true, live, false, false},
                     {"uplink_ingress", "eth0", "tcx", 2, true, live, false, false},
                     {"tunnel_ingress", "cilium_wg0", "tcx", 3, true, live, false, false}};
  PeerStatus peer;
  peer.node_id = 1;
  peer.ready = true;
  peer.pod_cidrs = {Cidr::parse("10.0.1.0/24").value()};
  peer.public_key = keys::PublicKey{{2}};
  status.peers = {peer};
  return status;
}

}  // namespace

TEST_CASE("engine: program settings survive the way into the kernel's constants and back") {
  plan::ProgramSettings settings;
  settings.build = 0x1234;
  settings.tunnel = plan::TunnelReference::kTunnel;
  settings.uplink = "eth0";
  settings.pod_uplink = "flannel.1";
  settings.wireguard_port = 51871;
  settings.ipv4_mtu = 1226;
  settings.tunnel_mtu = 1420;
  settings.own_pods = {Cidr::parse("10.244.1.0/24").value(), Cidr::parse("fd00:10:244:1::/64").value()};
  settings.l2_len = 0;
  settings.fast_path = true;
  settings.via_uplink = true;
  settings.lengths[{Family::kIpv4, 24}] = Cidr::parse("10.244.0.0/16").value();
  settings.lengths[{Family::kIpv6, 64}] = Cidr::parse("fd00:10:244::/48").value();
  const auto config = to_config(settings, {7, 2, 3});
  CHECK(config.tunnel_ifindex == 7);
  CHECK(config.uplink_ifindex == 2);
  CHECK(config.pod_uplink_ifindex == 3);
  CHECK(to_settings(config, {7, 0}, {{2, "eth0"}, {3, "flannel.1"}}) == settings);
  CHECK(to_settings(config, {8, 0}, {{2, "eth0"}}).tunnel == plan::TunnelReference::kStale);
  CHECK(to_settings(config, {0, 0}, {{2, "eth0"}}).tunnel == plan::TunnelReference::kStale);
  CHECK(to_settings(config, {7, 0}, {{3, "flannel.1"}}).uplink == "?");
  CHECK(to_settings(config, {7, 0}, {{2, "eth0"}}).pod_uplink == "?");
}

TEST_CASE("engine: a fenced program knows no tunnel, even where there is one") {
  const plan::ProgramSettings fenced;
  CHECK(to_config(fenced, {7, 0, 0}).tunnel_ifindex == 0);
  CHECK(to_settings(to_config(fenced, {7, 0, 0}), {7, 0}, {}) == fenced);
}

TEST_CASE("engine: an IPsec program's tunnel is cilium_xfrm0, whatever index cilium_wg0 has") {
  plan::ProgramSettings settings;
  settings.tunnel = plan::TunnelReference::kTunnel;
  settings.engine = plan::Engine::kIpsec;
  settings.overlay = true;
  settings.vxlan_port = 8472;
  const auto config = to_config(settings, {9, 0, 0});
  CHECK(to_settings(config, {7, 9}, {}) == settings);
  CHECK(to_settings(config, {9, 0}, {}).tunnel == plan::TunnelReference::kStale);
}

TEST_CASE("engine: ESP states and policies survive the way into the kernel's words and back") {
  const plan::TunnelEnds ends{IpAddress::parse("172.18.0.2").value(), IpAddress::parse("172.18.0.4").value()};
  for (const auto use : {plan::StateUse::kTransmit, plan::StateUse::kReceive}) {
    const plan::EspState state{use, 0x48da, 3, ends, 0xabc0123};
    const auto xfrm = to_xfrm(state, 1024);
    CHECK(from_xfrm(xfrm) == state);
    CHECK(xfrm.source == (use == plan::StateUse::kTransmit ? ends.own : ends.peer));
    CHECK(xfrm.esn);
    CHECK(xfrm.af_unspec);
  }
  const plan::EspPolicy policy{
      Cidr::parse("10.244.1.0/24").value(), Cidr::parse("10.244.2.0/24").value(), 0x48da, 3, ends, 0xabc0123};
  const auto xfrm = to_xfrm(policy);
  CHECK(from_xfrm(xfrm) == policy);
  CHECK(xfrm.mark->value == 0x48da3e00);
  CHECK(xfrm.mark->mask == 0xffffff00);
}

TEST_CASE("engine: what goes out encrypted carries no key ID in its mark, which others' rules would take for theirs") {
  const plan::TunnelEnds ends{IpAddress::parse("172.18.0.2").value(), IpAddress::parse("172.18.0.4").value()};
  const auto xfrm = to_xfrm(plan::EspState{plan::StateUse::kTransmit, 2, 12, ends, 0xabc012c}, 1024);
  CHECK(xfrm.output_mark->value == 0xe00);
  CHECK(xfrm.output_mark->mask == 0xffffffff);
}

TEST_CASE("engine: states and policies that are not of our making are not ours") {
  netlink::XfrmState state;
  state.reqid = 1;
  CHECK_FALSE(from_xfrm(state).has_value());
  state.output_mark = {0x20d01, 0xffffffff};
  CHECK_FALSE(from_xfrm(state).has_value());
  state.output_mark = {0x23d00, 0xffffffff};
  CHECK(from_xfrm(state).has_value());
  state.reqid = 2;
  CHECK_FALSE(from_xfrm(state).has_value());
  for (const auto& policy : delivery_policies()) CHECK_FALSE(from_xfrm(policy).has_value());
}

TEST_CASE("engine: the change of a peer that is gone does not bring it back") {
  plan::SetTunnelPeer step;
  CHECK(to_patch(step).update_only);
  step.create = true;
  CHECK_FALSE(to_patch(step).update_only);
  CHECK_FALSE(to_patch(step).replace_allowed_ips);
}

TEST_CASE("engine: pods are what host routes to veths, or to named devices, lead to") {
  const std::vector links{make_link(2, "eth0", ""), make_link(5, "veth5", "veth"), make_link(6, "lxc6", "netkit")};
  auto wide = host_route("10.0.0.7", 5);
  wide.destination.length = 24;
  const std::vector routes{host_route("10.0.0.5", 5), host_route("fd00::6", 6), host_route("10.0.0.9", 2), wide};
  const auto veths = pod_routes(links, routes, {});
  REQUIRE(veths.size() == 1);
  CHECK(veths.begin()->second.name == "veth5");
  const auto named = pod_routes(links, routes, {"lxc*"});
  REQUIRE(named.size() == 1);
  CHECK(named.begin()->first.text() == "fd00::6");
}

TEST_CASE("engine: the fast path is refused where a packet filter sees pods' packets, and says where") {
  CHECK(check_fast_path({}, {"veth5"}).has_value());
  CHECK(check_fast_path({finding({"eth7"})}, {"veth5"}).has_value());
  CHECK_FALSE(check_fast_path({finding({"veth5"})}, {"veth5"}).has_value());
  const auto refused = check_fast_path({finding({})}, {"veth5"});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind() == ErrorKind::kMisuse);
  CHECK(refused.error().what().find("FORWARD") != std::string::npos);
  CHECK(refused.error().hint().find("fastPathForce") != std::string::npos);
}

TEST_CASE("engine: link headers are as long as their hardware type says") {
  CHECK(link_header_length(ARPHRD_ETHER) == 14);
  CHECK(link_header_length(ARPHRD_NONE) == 0);
  CHECK_FALSE(link_header_length(ARPHRD_IEEE80211).has_value());
}

TEST_CASE("engine: a lock has one holder, and its file may be removed by it") {
  const test::TemporaryFolder folder;
  const auto run = folder.path() / "run";
  auto held = RunLock::acquire(run, std::chrono::milliseconds(0));
  REQUIRE(held.has_value());
  const auto second = RunLock::acquire(run, std::chrono::milliseconds(0));
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().what().find("another sheath is changing this node") == 0);
  held->remove_file();
  CHECK_FALSE(std::filesystem::exists(run));
  CHECK(RunLock::acquire(run, std::chrono::milliseconds(0)).has_value());
}

TEST_CASE("engine: the test hooks take numbers only") {
  REQUIRE(setenv("SHEATH_FAIL_AT", "3", 1) == 0);
  CHECK(cuts_from_environment().value().fail_at == 3);
  REQUIRE(setenv("SHEATH_FAIL_AT", "3x", 1) == 0);
  CHECK_FALSE(cuts_from_environment().has_value());
  REQUIRE(unsetenv("SHEATH_FAIL_AT") == 0);
  CHECK_FALSE(cuts_from_environment().value().fail_at.has_value());
}

TEST_CASE("engine: a healthy node has no problem, and each thing that is missing is one") {
  CHECK(find_problems(healthy(), {"eth0"}).empty());
  const auto problem_of = [](auto change) {
    auto status = healthy();
    change(status);
    const auto problems = find_problems(status, {"eth0"});
    return problems.size() == 1 ? problems[0] : std::to_string(problems.size()) + " problems";
  };
  CHECK(problem_of([](Status& s) { s.programs.erase(s.programs.begin()); }) == "uplink_egress is not attached to eth0");
  CHECK(problem_of([](Status& s) { s.programs[1].tunnel = plan::TunnelReference::kFenced; }) ==
        "uplink_ingress on eth0 is fenced: apply did not finish");
  CHECK(problem_of([](Status& s) { s.tunnel.reset(); }) == "there is no tunnel device");
  CHECK(problem_of([](Status& s) { s.tunnel->up = false; }) == "cilium_wg0 is down");
  CHECK(problem_of([](Status& s) { s.peers[0].public_key.reset(); }) == "node 1 is not a peer of the tunnel device");
  CHECK(problem_of([](Status& s) { s.peers[0].ready = false; }) == "node 1 is not ready: no address");
  CHECK(problem_of([](Status& s) {
          s.peers[0].ready = false;
          s.peers[0].endpoint = Endpoint{};
        }) == "node 1 is not ready: no handshake");
  CHECK(problem_of([](Status& s) {
          s.peers[0].ready = false;
          s.peers[0].public_key.reset();
        }) == "node 1 is not ready: no key");
  CHECK(problem_of([](Status& s) { s.pins = plan::Pins::kSome; }) ==
        "not all maps are pinned below /sys/fs/bpf/sheath");
  CHECK(problem_of([](Status& s) {
          s.strict = false;
          s.metrics.emplace();
          (*s.metrics)[0].plaintext_passed.packets = 4;
        }) == "permissive: 4 packets passed that strict mode would have dropped (see \"Strict mode would drop\")");
  CHECK(problem_of([](Status& s) {
          s.strict = false;
          s.backstop = {1, true, 5};
        }) == "permissive: 5 packets passed on devices that are not covered: strict mode would have dropped them");
}

TEST_CASE("engine: digests of keys are computed once, for each pair its own, and forgotten when nobody asks for them") {
  const auto algorithm = keys::find_aead("rfc4106(gcm(aes))", 20, 128).value();
  const auto psk = keys::IpsecKey::generate(3, algorithm);
  REQUIRE(psk.has_value());
  const auto draw = [&] { return keys::Session::draw(3, *psk, {}, {}).value(); };
  const auto own = draw();
  const keys::KeyContext context{"a", "b", draw().public_key()};
  DigestCache cache;
  const auto first = cache.digests(own, context);
  REQUIRE(first.has_value());
  CHECK(first->transmit == keys::Pair::of(own, context)->digests()->transmit);
  cache.begin_round();
  CHECK(cache.digests(own, context)->receive == first->receive);
  CHECK(cache.size() == 1);
  CHECK(cache.digests(own, {"a", "c", context.peer_session})->transmit != first->transmit);
  CHECK(cache.digests(draw(), context)->transmit != first->transmit);
  CHECK(cache.size() == 3);
  cache.begin_round();
  CHECK(cache.digests(own, context)->transmit == first->transmit);
  cache.begin_round();
  CHECK(cache.size() == 1);
  CHECK_FALSE(cache.digests(own, {"a", "b", keys::PublicKey{}}).has_value());
}

TEST_CASE("engine: digests of keys that were made are known from then on, and what is known is not overwritten") {
  const auto algorithm = keys::find_aead("rfc4106(gcm(aes))", 20, 128).value();
  const auto psk = keys::IpsecKey::generate(3, algorithm).value();
  const auto own = keys::Session::draw(3, psk, {}, {}).value();
  const auto peer = keys::Session::draw(3, psk, {}, {}).value();
  const auto pair = keys::Pair::of(own, {"a", "b", peer.public_key()}).value();
  DigestCache cache;
  cache.learn(pair);
  CHECK(cache.size() == 1);
  CHECK(cache.digests(own, pair.context())->transmit == pair.digests()->transmit);
  CHECK(cache.digests(own, pair.context())->receive == pair.digests()->receive);
  CHECK(cache.size() == 1);
  cache.learn(pair);
  CHECK(cache.size() == 1);
}

}  // namespace sheath::engine
