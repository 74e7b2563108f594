// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>

#include "loader/verify/explain.hpp"
#include "loader/verify/judge.hpp"
#include "loader/verify/probes.hpp"
#include "loader/verify/sighting.hpp"
#include "loader/verify/watch.hpp"

namespace sheath::verify {
namespace {

using Bytes = std::vector<std::uint8_t>;

IpAddress address(const std::string& text) {
  return IpAddress::parse(text).value();
}

Cidr cidr(const std::string& text) {
  return Cidr::parse(text).value();
}

state::Node node(const std::string& name, const std::string& host, const std::string& net) {
  state::Node out;
  out.name = name;
  out.node_ips = {address("172.18.0." + host), address("fd00:18::" + host)};
  out.pod_cidrs = {cidr("10.244." + net + ".0/24"), cidr("fd00:10:244:" + net + "::/64")};
  return out;
}

state::Cluster cluster() {
  state::Cluster out{{"a", node("a", "2", "1")}, {"b", node("b", "3", "2")}, {"c", node("c", "4", "3")}};
  out["c"].labels["node-role.kubernetes.io/control-plane"] = "";
  return out;
}

state::Config config(bool node_encryption = false) {
  state::Config out;
  out.node_name = "a";
  out.node_encryption = node_encryption;
  return out;
}

std::vector<Probe> of_peer(const std::vector<Probe>& probes, const std::string& peer) {
  std::vector<Probe> out;
  std::ranges::copy_if(probes, std::back_inserter(out), [&](const Probe& probe) { return probe.peer == peer; });
  return out;
}

Probe probe() {
  return {"b", Traffic::kPodToPod, address("10.244.1.254"), address("10.244.2.254"), true, ""};
}

// A node on which all is well.
engine::Status healthy() {
  engine::Status status;
  status.installed = true;
  status.tunnel = {"cilium_wg0", 7, 1420, true, keys::PublicKey{{1}}, 51871, 0xe00, 1};
  engine::ProgramStatus program;
  program.program = "uplink_egress";
  program.device = "eth0";
  status.programs = {program};
  engine::PeerStatus peer;
  peer.node_id = 1;
  peer.name = "b";
  peer.node_ips = {address("172.18.0.3")};
  peer.pod_cidrs = {cidr("10.244.2.0/24")};
  peer.ready = true;
  peer.public_key = keys::PublicKey{{2}};
  peer.endpoint = Endpoint{address("172.18.0.3"), 51871};
  status.peers = {peer};
  return status;
}

Sightings in_clear(std::optional<IpAddress> source = address("10.244.1.254"), const std::string& device = "eth0") {
  Sightings seen;
  seen.sent = 1;
  seen.in_clear = {device, source};
  return seen;
}

Sightings encrypted() {
  Sightings seen;
  seen.sent = 1;
  seen.entered_tunnel = true;
  seen.outer = "WireGuard";
  seen.answered = true;
  return seen;
}

Finding finding(Verdict verdict, bool required) {
  Finding out{probe(), verdict, {}, ""};
  out.probe.required = required;
  return out;
}

// Of an IPv4 packet with these ports, the payload behind the UDP header.
Bytes udp4(std::uint16_t source, std::uint16_t destination, const Bytes& payload = {}) {
  Bytes out = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 172, 18, 0, 2, 172, 18, 0, 3};
  for (const std::uint16_t port : {source, destination}) {
    out.push_back(static_cast<std::uint8_t>(port >> 8));
    out.push_back(static_cast<std::uint8_t>(port));
  }
  out.insert(out.end(), {0, 0, 0, 0});
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

Bytes ipv4_of(std::uint8_t protocol) {
  return {0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 244, 1, 247, 10, 244, 2, 247};
}

Bytes in_vxlan(const Bytes& inner) {
  Bytes out(8 + 14, 0);
  out.insert(out.end(), inner.begin(), inner.end());
  return out;
}

constexpr OuterPorts kPorts{51871, 8472};

TEST_CASE("verify: each peer is asked about pods in both families, and about nodes as the configuration has it") {
  const auto off = plan_probes(config(false), cluster());
  CHECK(of_peer(off, "a").empty());
  CHECK(of_peer(off, "b").size() == 6);
  for (const auto& probe : off) {
    CHECK(probe.required == (probe.traffic == Traffic::kPodToPod));
    CHECK(probe.exemption == (probe.required ? "" : "node encryption is off"));
    CHECK(probe.source.family == probe.destination.family);
  }
  const auto on = plan_probes(config(true), cluster());
  CHECK(of_peer(on, "b").size() == 8);
  CHECK(std::ranges::all_of(of_peer(on, "b"), &Probe::required));
  for (const auto& probe : of_peer(on, "c")) {
    if (is_node_traffic(probe.traffic)) CHECK(probe.exemption == "c is opted out");
  }
  CHECK(of_peer(on, "c").size() == 6);
}

TEST_CASE("verify: a node that has one family only is asked in that one; nobody asks for a node that is not known") {
  auto nodes = cluster();
  nodes["b"].pod_cidrs = {cidr("fd00:10:244:2::/64")};
  nodes["b"].node_ips = {address("172.18.0.3")};
  for (const auto& probe : of_peer(plan_probes(config(true), nodes), "b")) {
    const bool to_pod = probe.traffic == Traffic::kPodToPod || probe.traffic == Traffic::kNodeToPod;
    CHECK(probe.destination.family == (to_pod ? Family::kIpv6 : Family::kIpv4));
  }
  auto other = config();
  other.node_name = "z";
  CHECK(plan_probes(other, nodes).empty());
}

TEST_CASE("verify: the sample of a range is its last address that a host can have") {
  CHECK(sample_address(cidr("10.244.1.0/24")).text() == "10.244.1.254");
  CHECK(sample_address(cidr("10.244.0.0/22")).text() == "10.244.3.254");
  CHECK(sample_address(cidr("10.244.1.6/31")).text() == "10.244.1.7");
  CHECK(sample_address(cidr("10.244.1.7/32")).text() == "10.244.1.7");
  CHECK(sample_address(cidr("fd00::/126")).text() == "fd00::2");
  CHECK(sample_address(cidr("fd00::5/128")).text() == "fd00::5");
}

TEST_CASE("verify: a probe is found again wherever its bytes are, and another run's is not") {
  const RunMark run{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  RunMark other = run;
  other[11] ^= 1;
  const auto packet = probe_packet(probe(), run, 70000);
  CHECK(find_probe(packet, run) == 70000);
  CHECK(!find_probe(packet, other).has_value());
  auto wrapped = in_vxlan(packet);
  wrapped.push_back(0);
  CHECK(find_probe(wrapped, run) == 70000);
  // Cut off within its number.
  CHECK(!find_probe(std::span(packet).first(packet.size() - 1), run).has_value());
  CHECK(!find_probe({}, run).has_value());
}

TEST_CASE("verify: ciphertext is known by its outside") {
  const auto kind = [](const Bytes& packet) {
    const auto outer = read_outer(packet, kPorts);
    return outer ? outer->kind : "";
  };
  CHECK(kind(udp4(51871, 51871)) == "WireGuard");
  CHECK(read_outer(udp4(51871, 51871), kPorts)->destination == address("172.18.0.3"));
  CHECK(kind(udp4(40000, 51871)) == "");
  CHECK(kind(ipv4_of(50)) == "ESP");
  CHECK(kind(ipv4_of(6)) == "");
  CHECK(kind(udp4(40000, 8472, in_vxlan(ipv4_of(50)))) == "ESP in VXLAN");
  CHECK(kind(udp4(40000, 8472, in_vxlan(ipv4_of(6)))) == "");
  CHECK(kind(udp4(40000, 8472, {1, 2, 3})) == "");
  Bytes ipv6(40, 0);
  ipv6[0] = 0x60;
  ipv6[6] = 50;
  ipv6[39] = 9;
  CHECK(read_outer(ipv6, kPorts)->destination == address("::9"));
  // Cut short, at every length: no reading beyond.
  const auto whole = udp4(40000, 8472, in_vxlan(ipv4_of(50)));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK(!read_outer(std::span(whole).first(size), kPorts).has_value());
  }
  Bytes options = ipv4_of(50);
  options[0] = 0x4f;  // says 60 bytes of header
  CHECK(!read_outer(options, kPorts).has_value());
}

TEST_CASE("verify: only an answer together with ciphertext is proof, and once in the clear is in the clear") {
  CHECK(judge(encrypted()) == Verdict::kEncrypted);
  auto seen = encrypted();
  seen.outer.clear();
  CHECK(judge(seen) == Verdict::kUnreachable);
  seen = encrypted();
  seen.answered = false;
  CHECK(judge(seen) == Verdict::kUnreachable);
  seen = encrypted();
  seen.in_clear = {"eth0", std::nullopt};
  CHECK(judge(seen) == Verdict::kPlaintext);
}

TEST_CASE("verify: what is not required proves and spoils nothing") {
  const auto conclusion = [](const std::vector<Finding>& findings) { return conclude(findings); };
  CHECK(conclusion({}) == Conclusion::kProven);
  CHECK(conclusion({finding(Verdict::kEncrypted, true), finding(Verdict::kPlaintext, false)}) == Conclusion::kProven);
  CHECK(conclusion({finding(Verdict::kUnreachable, true), finding(Verdict::kEncrypted, true)}) ==
        Conclusion::kNotProven);
  CHECK(conclusion({finding(Verdict::kUnreachable, true), finding(Verdict::kPlaintext, true)}) ==
        Conclusion::kPlaintext);
}

TEST_CASE("verify: why it is plaintext") {
  auto status = healthy();
  CHECK(explain(probe(), encrypted(), status) == "");
  auto exempt = probe();
  exempt.exemption = "node encryption is off";
  CHECK(explain(exempt, in_clear(), status) == "node encryption is off");
  CHECK(
      explain(probe(), in_clear(address("172.18.0.2")), status) ==
      "its source was translated from 10.244.1.254 to 172.18.0.2 on its way through this host (masquerading): so it is "
      "node traffic, and that is not encrypted");
  CHECK(explain(probe(), in_clear(address("10.244.1.254"), "eth1"), status) ==
        "no program of Sheath's is attached to eth1, egress");
  CHECK(explain(probe(), in_clear(), status) ==
        "no cause that this node can see: look for what else is attached to eth0");
  status.peers[0].ready = false;
  CHECK(explain(probe(), in_clear(), status) == "b is not ready: no handshake, and the mode is permissive");
  status.peers[0].ready = true;
  status.tunnel.reset();
  CHECK(explain(probe(), in_clear(), status) == "there is no tunnel device, and the mode is permissive");
  status.peers.clear();
  CHECK(explain(probe(), in_clear(), status) == "the maps know no peer with 10.244.2.254");
  status.installed = false;
  CHECK(explain(probe(), in_clear(), status) == "Sheath is not applied on this node");
}

TEST_CASE("verify: why there is no answer") {
  auto status = healthy();
  auto seen = encrypted();
  seen.answered = false;
  CHECK(explain(probe(), seen, status) ==
        "it went out as WireGuard, and no answer came: b is away, cannot decrypt it, or does not run Sheath");
  seen.outer.clear();
  CHECK(explain(probe(), seen, status) == "it went into cilium_wg0, and nothing came out: no handshake with b");
  status.peers[0].public_key.reset();
  CHECK(explain(probe(), seen, status) == "it went into cilium_wg0, and nothing came out: b is no peer of the device");
  seen.entered_tunnel = false;
  CHECK(explain(probe(), seen, status) ==
        "it left by no device: something in this host drops it, such as its firewall");
  status.peers[0].ready = false;
  CHECK(explain(probe(), seen, status) == "dropped: b is not ready: no key");
  status.peers.clear();
  CHECK(explain(probe(), seen, status) == "dropped: the maps know no peer with 10.244.2.254");
  seen.send_error = "send to 10.244.2.254: Operation not permitted (EPERM)";
  CHECK(explain(probe(), seen, status) ==
        "this host does not send it: send to 10.244.2.254: Operation not permitted (EPERM)");
}

TEST_CASE("verify: the audit goes by configuration and node objects") {
  auto wanted = config(true);
  wanted.cluster_pod_cidrs = {cidr("10.244.0.0/16")};
  const auto tables = audit_tables(wanted, cluster());
  CHECK(tables.pod_cidrs.at(cidr("10.244.0.0/16")).kind == SHEATH_KIND_cluster);
  CHECK(tables.pod_cidrs.at(cidr("10.244.1.0/24")).kind == SHEATH_KIND_local);
  CHECK(tables.node_ips.at(address("fd00:18::2")).kind == SHEATH_KIND_local);
  const auto b = tables.node_ips.at(address("172.18.0.3"));
  const auto c = tables.node_ips.at(address("172.18.0.4"));
  CHECK(b.kind == SHEATH_KIND_remote);
  CHECK(tables.pod_cidrs.at(cidr("fd00:10:244:2::/64")).node_id == b.node_id);
  CHECK(b.node_id != c.node_id);
  CHECK(tables.peers.at(b.node_id).node_traffic == SHEATH_NODE_TRAFFIC_required);
  // c is opted out; with node encryption off, or this node opted out, so are all.
  CHECK(tables.peers.at(c.node_id).node_traffic == SHEATH_NODE_TRAFFIC_plain);
  CHECK(audit_tables(config(false), cluster()).peers.at(b.node_id).node_traffic == SHEATH_NODE_TRAFFIC_plain);
  wanted.node_name = "c";
  for (const auto& [id, peer] : audit_tables(wanted, cluster()).peers)
    CHECK(peer.node_traffic == SHEATH_NODE_TRAFFIC_plain);
}

TEST_CASE("verify: a leak goes by the lower of both ports") {
  sheath_event event{};
  event.direction = SHEATH_DIRECTION_uplink_egress;
  event.source_port = 40000;
  event.dest_port = 80;
  CHECK(leak_of(event, "eth0").destination_port == 80);
  CHECK(leak_of(event, "eth0").source_port == 0);
  std::swap(event.source_port, event.dest_port);
  CHECK(leak_of(event, "eth0").source_port == 80);
  CHECK(leak_of(event, "eth0").destination_port == 0);
  CHECK(leak_of(event, "eth0").leaving);
}

}  // namespace
}  // namespace sheath::verify
