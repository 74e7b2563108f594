// SPDX-License-Identifier: Apache-2.0
// What the audit takes for plaintext of the cluster. Packets come in as at an uplink; that it sees those that leave,
// and below the programs, is for the traffic tests.
#include <bpf/bpf.h>
#include <doctest/doctest.h>

#include <cerrno>
#include <vector>

#include "loader/bpf/audit.hpp"
#include "selftests/harness/packet.hpp"

using namespace sheath;
using namespace sheath::test;

namespace {

constexpr std::uint16_t kWireguardPort = 51871;

Cidr cidr(const std::string& text) {
  return Cidr::parse(text).value();
}

IpAddress address(const std::string& text) {
  return IpAddress::parse(text).value();
}

constexpr std::uint16_t kEncrypting = 1, kOptedOut = 2;

// This node, a peer whose node traffic is to be encrypted, one whose is not, and the cluster's range.
bpf::AuditTables tables() {
  bpf::AuditTables out;
  const sheath_owner local{SHEATH_KIND_local, 0, 0}, cluster{SHEATH_KIND_cluster, 0, 0};
  for (const char* text : {"10.244.1.0/24", "fd00:10:244:1::/64"}) out.pod_cidrs[cidr(text)] = local;
  for (const char* text : {"10.244.0.0/16", "fd00:10:244::/48"}) out.pod_cidrs[cidr(text)] = cluster;
  for (const char* text : {"172.18.0.2", "fd00:18::2"}) out.node_ips[address(text)] = local;
  for (const std::uint16_t id : {kEncrypting, kOptedOut}) {
    const sheath_owner remote{SHEATH_KIND_remote, id, 0};
    const auto net = std::to_string(id + 1);
    out.pod_cidrs[cidr("10.244." + net + ".0/24")] = remote;
    out.pod_cidrs[cidr("fd00:10:244:" + net + "::/64")] = remote;
    out.node_ips[address("172.18.0." + net + "0")] = remote;
    out.node_ips[address("fd00:18::" + net + "0")] = remote;
    out.peers[id] = {};
  }
  out.peers[kEncrypting].node_traffic = SHEATH_NODE_TRAFFIC_required;
  return out;
}

bpf::Audit& audit() {
  static bpf::Audit kAudit = [] {
    sheath_config config{};
    config.wireguard_port = kWireguardPort;
    config.vxlan_port = 8472;
    auto loaded = bpf::Audit::load(config, tables());
    REQUIRE_MESSAGE(loaded.has_value(), loaded.error().what());
    return std::move(*loaded);
  }();
  return kAudit;
}

struct Seen {
  bool counted = false;
  std::vector<sheath_event> events;
};

Seen look(const Bytes& packet, std::uint32_t mark = 0) {
  const auto before = audit().counters().value();
  __sk_buff context{};
  context.mark = mark;
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = packet.data();
  options.data_size_in = static_cast<std::uint32_t>(packet.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  REQUIRE(bpf_prog_test_run_opts(audit().program(), &options) == 0);
  CHECK(options.retval == 0);
  const auto after = audit().counters().value();
  CHECK(after.packets == before.packets + 1);
  Seen seen{after.plaintext != before.plaintext, {}};
  REQUIRE(audit().wait(std::chrono::milliseconds(0), [&](const sheath_event& event) { seen.events.push_back(event); }));
  CHECK(seen.events.size() == (seen.counted ? 1 : 0));
  return seen;
}

PacketSpec spec(const std::string& source, const std::string& dest, std::uint8_t protocol = kTcp) {
  PacketSpec out;
  out.source = source;
  out.dest = dest;
  out.protocol = protocol;
  return out;
}

bool is_found(const PacketSpec& packet) {
  return look(build(packet)).counted;
}

// An outer header between these two, of that protocol, and behind its own header these bytes. Ports as given.
Bytes around(const PacketSpec& outer, const Bytes& content) {
  PacketSpec wrap = outer;
  const bool ports = wrap.protocol == kUdp;
  wrap.payload = content.size() - (ports ? 0 : 8);  // behind what the builder takes for ports
  Bytes out = build(wrap);
  std::copy(content.begin(), content.end(), out.end() - static_cast<std::ptrdiff_t>(content.size()));
  return out;
}

Bytes operator+(Bytes head, const Bytes& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

Bytes inner_ip(PacketSpec packet) {
  packet.ethernet = false;
  return build(packet);
}

// The encapsulations of others, in the way of `outer`'s protocol and port.
struct Wrapping {
  const char* name;
  std::uint8_t protocol;
  std::uint16_t port;
  Bytes head;
  bool ethernet;
};

std::vector<Wrapping> wrappings() {
  return {
      {"VXLAN", kUdp, 4789, {8, 0, 0, 0, 0, 0, 7, 0}, true},
      {"VXLAN on Linux' port", kUdp, 8472, {8, 0, 0, 0, 0, 0, 7, 0}, true},
      {"Geneve", kUdp, 6081, {0, 0, 0x65, 0x58, 0, 0, 7, 0}, true},
      {"Geneve with an option", kUdp, 6081, {2, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 1, 0, 0, 0, 0}, true},
      {"GRE", 47, 0, {0, 0, 8, 0}, false},
      {"GRE with a key", 47, 0, {0x20, 0, 8, 0, 0, 0, 0, 9}, false},
      {"GRE with Ethernet", 47, 0, {0, 0, 0x65, 0x58}, true},
      {"IPIP", 4, 0, {}, false},
  };
}

Bytes wrapped(const Wrapping& way, const PacketSpec& inner, const char* from = "172.18.0.2",
              const char* to = "172.18.0.30") {
  auto outer = spec(from, to, way.protocol);
  outer.dest_port = way.port;
  return around(outer, way.head + (way.ethernet ? build(inner) : inner_ip(inner)));
}

}  // namespace

TEST_CASE("audit: what pods of different nodes say to each other is the cluster's, either way and in both families") {
  for (const auto& [here, there, unknown, neighbour, world] :
       {std::array{"10.244.1.7", "10.244.2.9", "10.244.99.1", "10.244.1.8", "198.51.100.1"},
        std::array{"fd00:10:244:1::7", "fd00:10:244:2::9", "fd00:10:244:99::1", "fd00:10:244:1::8", "2001:db8::1"}}) {
    for (const std::uint8_t protocol : {kTcp, kUdp, std::uint8_t{253}}) {
      CHECK(is_found(spec(here, there, protocol)));
      CHECK(is_found(spec(there, here, protocol)));
      CHECK(is_found(spec(here, unknown, protocol)));
      CHECK_FALSE(is_found(spec(here, neighbour, protocol)));
      CHECK_FALSE(is_found(spec(here, world, protocol)));
      CHECK_FALSE(is_found(spec(world, there, protocol)));
    }
    // ESP runs between pods' addresses inside an overlay; WireGuard's port does not make a pod's packet WireGuard.
    CHECK_FALSE(is_found(spec(here, there, kEsp)));
    auto like_wireguard = spec(here, there, kUdp);
    like_wireguard.source_port = like_wireguard.dest_port = kWireguardPort;
    CHECK(is_found(like_wireguard));
  }
}

TEST_CASE("audit: node traffic is, where it is to be encrypted, but for what carries the ciphertext") {
  for (const auto& [us, pod, encrypting, its_pod, opted_out] :
       {std::array{"172.18.0.2", "10.244.1.7", "172.18.0.20", "10.244.2.9", "172.18.0.30"},
        std::array{"fd00:18::2", "fd00:10:244:1::7", "fd00:18::20", "fd00:10:244:2::9", "fd00:18::30"}}) {
    CHECK(is_found(spec(us, encrypting)));
    CHECK(is_found(spec(encrypting, us)));
    CHECK(is_found(spec(pod, encrypting)));
    CHECK(is_found(spec(us, its_pod)));
    CHECK_FALSE(is_found(spec(us, opted_out)));
    CHECK_FALSE(is_found(spec(pod, opted_out)));
    CHECK_FALSE(is_found(spec(us, encrypting, kEsp)));
    auto wireguard = spec(us, encrypting, kUdp);
    wireguard.source_port = wireguard.dest_port = kWireguardPort;
    CHECK_FALSE(is_found(wireguard));
    wireguard.source_port = 40000;
    CHECK(is_found(wireguard));
  }
  // Neighbour discovery between nodes.
  auto discovery = spec("fd00:18::2", "fd00:18::20", kIcmpv6);
  discovery.icmp_type = 135;
  discovery.hop_limit = 255;
  CHECK_FALSE(is_found(discovery));
  discovery.icmp_type = 128;
  CHECK(is_found(discovery));
}

TEST_CASE("audit: it looks into the encapsulations of others, and no further than into what they carry") {
  for (const auto& way : wrappings()) {
    CAPTURE(std::string(way.name));
    const auto pods = spec("10.244.1.7", "10.244.3.9");
    const auto seen = look(wrapped(way, pods));
    CHECK(seen.counted);
    REQUIRE(seen.events.size() == 1);
    CHECK(seen.events[0].dest_port == pods.dest_port);
    CHECK(seen.events[0].protocol == kTcp);
    CHECK(look(wrapped(way, pods, "192.0.2.1", "192.0.2.2")).counted);  // whoever carries it
    CHECK_FALSE(look(wrapped(way, spec("10.244.1.7", "10.244.3.9", kEsp))).counted);
    CHECK_FALSE(look(wrapped(way, spec("10.244.1.7", "198.51.100.1"))).counted);
    // Cut off at every byte: nothing is read beyond, and nothing is found that is not there.
    const Bytes whole = wrapped(way, spec("10.244.1.7", "198.51.100.1"));
    for (std::size_t size = 34; size < whole.size(); size += 3) {
      CHECK_FALSE(look(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))).counted);
    }
  }
  // One in another.
  const Bytes once = wrapped(wrappings().back(), spec("10.244.1.7", "10.244.3.9"));
  auto outer = spec("172.18.0.2", "172.18.0.30", 47);
  CHECK(look(around(outer, Bytes{0, 0, 0x65, 0x58} + once)).counted);
  // A pod's own encapsulation is a pod's packet, whatever it carries.
  CHECK(look(wrapped(wrappings().front(), spec("192.0.2.1", "192.0.2.2", kEsp), "10.244.1.7", "10.244.2.9")).counted);
}

TEST_CASE("audit: fragments, options and extension headers hide nothing") {
  auto later = spec("10.244.1.7", "10.244.2.9", kUdp);
  later.fragment = Fragment{100, false};
  CHECK(is_found(later));
  auto options = spec("10.244.1.7", "10.244.2.9");
  options.options = 8;
  CHECK(is_found(options));
  auto extensions = spec("fd00:10:244:1::7", "fd00:10:244:2::9", kUdp);
  extensions.extensions = {kHopByHop, kRouting, kDestination};
  CHECK(is_found(extensions));
  auto tagged = spec("fd00:10:244:1::7", "fd00:10:244:2::9", kUdp);
  tagged.fragment = Fragment{100, true};
  CHECK(is_found(tagged));
}

TEST_CASE(
    "audit: what arrives with a mark of ours came out of the tunnel, or is our answer; with another's it did not") {
  for (const std::uint32_t ours : {0x23d00u, 0xd00u, 0xc00u}) {
    CHECK_FALSE(look(build(spec("10.244.2.9", "10.244.1.7")), ours).counted);
  }
  for (const std::uint32_t other : {0x4000u, 0x8000u, 0xe00u, 0xd01u}) {
    CHECK(look(build(spec("10.244.2.9", "10.244.1.7")), other).counted);
  }
  CHECK(look(build(spec("10.244.2.9", "10.244.1.7")), 0).counted);
}

TEST_CASE("audit: with pod CIDRs of more lengths than it can look up it is not loaded, rather than blind to some") {
  auto many = tables();
  for (int length = 16; length < 49; ++length) many.pod_cidrs[cidr("fd00::/" + std::to_string(length))] = {};
  const auto loaded = bpf::Audit::load({}, many);
  REQUIRE_FALSE(loaded.has_value());
  CHECK(loaded.error().what().find("more than 32 different lengths") != std::string::npos);
}

TEST_CASE("audit: the report says who, where to and how") {
  auto packet = spec("10.244.2.9", "10.244.1.7", kUdp);
  packet.source_port = 53;
  packet.dest_port = 40000;
  const auto seen = look(build(packet));
  REQUIRE(seen.events.size() == 1);
  const auto& event = seen.events[0];
  CHECK(event.source_port == 53);
  CHECK(event.dest_port == 40000);
  CHECK(event.protocol == kUdp);
  CHECK(event.family == 4);
  CHECK(event.direction == SHEATH_DIRECTION_uplink_ingress);
  CHECK(event.reason == SHEATH_REASON_plaintext_passed);
  CHECK(event.source.addr[15] == 9);
  CHECK(event.dest.addr[15] == 7);
}
