// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>
#include <doctest/doctest.h>

#include "loader/bpf/pinned_maps.hpp"
#include "maps/keys.hpp"
#include "selftests/prog/loader/sandbox.hpp"

namespace sheath::bpf {
namespace {

using test::new_pin_folder;

IpAddress address(const std::string& text) {
  return IpAddress::parse(text).value();
}
Cidr cidr(const std::string& text) {
  return Cidr::parse(text).value();
}
sheath_owner remote(std::uint16_t node_id) {
  return {SHEATH_KIND_remote, node_id, 0};
}

PinnedMaps create(const std::filesystem::path& bpffs) {
  auto maps = PinnedMaps::create(bpffs);
  REQUIRE_MESSAGE(maps, maps.error().what());
  return std::move(*maps);
}

CidrOwners many_cidrs() {
  CidrOwners cidrs;
  for (int i = 0; i < 3000; ++i) {
    const auto id = static_cast<std::uint16_t>(i + 1);
    cidrs[cidr("10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24")] = remote(id);
    cidrs[cidr("fd00:" + std::to_string(i) + "::/64")] = remote(id);
  }
  return cidrs;
}

TEST_CASE("maps: created ones are pinned, with types that bpftool can read") {
  const auto bpffs = new_pin_folder();
  auto maps = create(bpffs);
  const auto info = maps.info();
  REQUIRE(info);
  CHECK(info->size() == 9);
  for (const auto& map : *info) {
    CAPTURE(map.name);
    CHECK(std::filesystem::exists(bpffs / map.name));
    CHECK((map.btf || map.type_name == "ringbuf"));
  }
  REQUIRE(maps.set_peers({{7, {0x70e00, SHEATH_PEER_ready, {}, SHEATH_NODE_TRAFFIC_plain}}}));
  const auto dump = test::output_of("bpftool map dump pinned " + (bpffs / "peers").string());
  CHECK(dump.find("\"tx_mark\": 462336") != std::string::npos);
  CHECK(dump.find("SHEATH_PEER_ready") != std::string::npos);
}

TEST_CASE("maps: what is written is what is read, both families, more than one batch") {
  auto maps = create(new_pin_folder());
  const auto cidrs = many_cidrs();
  REQUIRE(maps.set_pod_cidrs(cidrs));
  const auto read = maps.pod_cidrs();
  REQUIRE_MESSAGE(read, read.error().what());
  REQUIRE(read->size() == cidrs.size());
  for (const auto& [prefix, owner] : cidrs) {
    CAPTURE(prefix.text());
    REQUIRE(read->contains(prefix));
    CHECK(read->at(prefix).node_id == owner.node_id);
    CHECK(read->at(prefix).kind == SHEATH_KIND_remote);
  }
  Owners node_ips;
  for (int i = 0; i < 3000; ++i) {
    node_ips[address("172.18." + std::to_string(i / 250) + "." + std::to_string(i % 250))] = remote(1);
    node_ips[address("fd00:172:18::" + std::to_string(i))] = remote(2);
  }
  REQUIRE(maps.set_node_ips(node_ips));
  CHECK(maps.node_ips()->size() == node_ips.size());
  CHECK(maps.node_ips()->at(address("fd00:172:18::9")).node_id == 2);
}

TEST_CASE("maps: a peer that was deleted is none, and neither is one that nobody wrote") {
  auto maps = create(new_pin_folder());
  CHECK(maps.peers()->empty());
  const sheath_peer peer{0x10e00, SHEATH_PEER_not_ready, {}, SHEATH_NODE_TRAFFIC_plain};
  REQUIRE(maps.set_peers({{1, peer}, {SHEATH_NODE_ID_MAX, peer}}));
  REQUIRE(maps.peers());
  CHECK(maps.peers()->size() == 2);
  CHECK(maps.peers()->at(SHEATH_NODE_ID_MAX).tx_mark == 0x10e00);
  REQUIRE(maps.delete_peer(SHEATH_NODE_ID_MAX));
  CHECK(maps.delete_peer(SHEATH_NODE_ID_MAX));
  CHECK(maps.peers()->size() == 1);
}

TEST_CASE("maps: an entry overwritten is the new one, an entry deleted is gone, its neighbours stay") {
  auto maps = create(new_pin_folder());
  REQUIRE(maps.set_endpoints(
      {{address("10.244.1.2"), {5, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}}, {address("fd00::2"), {6, {}, {}}}}));
  REQUIRE(maps.set_endpoints({{address("10.244.1.2"), {9, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}}}));
  auto endpoints = maps.endpoints();
  REQUIRE(endpoints);
  CHECK(endpoints->at(address("10.244.1.2")).ifindex == 9);
  CHECK(endpoints->at(address("10.244.1.2")).host_mac[5] == 2);
  REQUIRE(maps.delete_endpoint(address("10.244.1.2")));
  CHECK(maps.delete_endpoint(address("10.244.1.2")));
  CHECK(maps.endpoints()->size() == 1);

  REQUIRE(
      maps.set_pod_cidrs({{cidr("10.244.1.0/24"), remote(1)}, {cidr("10.244.0.0/16"), {SHEATH_KIND_cluster, 0, 0}}}));
  REQUIRE(maps.delete_pod_cidr(cidr("10.244.0.0/16")));
  CHECK(maps.pod_cidrs()->contains(cidr("10.244.1.0/24")));
  CHECK(maps.pod_cidrs()->size() == 1);
  REQUIRE(maps.set_peers({{65535, {1, SHEATH_PEER_not_ready, {}, SHEATH_NODE_TRAFFIC_plain}}}));
  REQUIRE(maps.delete_peer(65535));
  CHECK(maps.peers()->empty());
  REQUIRE(maps.set_node_ips({{address("172.18.0.2"), remote(3)}}));
  REQUIRE(maps.delete_node_ip(address("172.18.0.2")));
  CHECK(maps.node_ips()->empty());
}

TEST_CASE("maps: a peer's address on the underlay is kept beside its mark") {
  auto maps = create(new_pin_folder());
  const auto underlay = maps::to_key(address("fd00:18::4"));
  REQUIRE(maps.set_peers({{7, {0x73e00, SHEATH_PEER_ready, underlay, SHEATH_NODE_TRAFFIC_plain}},
                          {8, {0x80e00, SHEATH_PEER_not_ready, {}, SHEATH_NODE_TRAFFIC_plain}}}));
  const auto peers = maps.peers();
  REQUIRE(peers);
  CHECK(maps::from_key(peers->at(7).underlay) == address("fd00:18::4"));
  CHECK(peers->at(7).tx_mark == 0x73e00);
  CHECK(maps::from_key(peers->at(8).underlay) == address("::"));
}

TEST_CASE("maps: what was heard of a node is read, and taken out by generation or whole") {
  auto maps = create(new_pin_folder());
  for (const std::uint32_t node : {7u, 8u}) {
    const sheath_heard heard{1 << 3 | 1 << 4, 1 << 3 | 1 << 4 | 1 << 15, 0};
    REQUIRE(bpf_map_update_elem(maps.fd("heard"), &node, &heard, BPF_ANY) == 0);
  }
  REQUIRE(maps.clear_heard(7, 1 << 3 | 1 << 15));
  CHECK(maps.clear_heard(9, 1 << 3));
  auto heard = maps.heard();
  REQUIRE(heard);
  REQUIRE(heard->size() == 2);
  CHECK(heard->at(7).keys == 1 << 4);
  CHECK(heard->at(7).uses == 1 << 4);
  CHECK(heard->at(8).keys == (1 << 3 | 1 << 4));
  CHECK(heard->at(8).uses == (1 << 3 | 1 << 4 | 1 << 15));
  REQUIRE(maps.delete_heard(8));
  CHECK(maps.delete_heard(8));
  heard = maps.heard();
  REQUIRE(heard);
  CHECK(heard->size() == 1);
}

TEST_CASE("maps: creating again keeps what is in them, and completes a half-made set") {
  const auto bpffs = new_pin_folder();
  REQUIRE(create(bpffs).set_peers({{1, {0x10e00, SHEATH_PEER_ready, {}, SHEATH_NODE_TRAFFIC_plain}}}));
  REQUIRE(std::filesystem::remove(bpffs / "metrics"));
  CHECK_FALSE(PinnedMaps::open(bpffs, Access::kRead)->has_value());
  auto maps = create(bpffs);
  CHECK(maps.peers()->size() == 1);
  CHECK(std::filesystem::exists(bpffs / "metrics"));
}

TEST_CASE("maps: one that only counts may be missing, or of another layout, and is made anew: the others stay") {
  const auto bpffs = new_pin_folder();
  REQUIRE(create(bpffs).set_peers({{1, {0x10e00, SHEATH_PEER_ready, {}, SHEATH_NODE_TRAFFIC_plain}}}));
  for (const std::string name : {"metrics", "withheld"}) {
    CAPTURE(name);
    REQUIRE(std::filesystem::remove(bpffs / name));
    const auto state = PinnedMaps::open(bpffs, Access::kRead, Which::kState);
    REQUIRE(state->has_value());
    CHECK_FALSE((*state)->complete());
    CHECK((*state)->peers()->size() == 1);
    REQUIRE(test::run("bpftool map create " + (bpffs / name).string() + " type hash key 4 value 16 entries 10 name x"));
    CHECK_FALSE(PinnedMaps::open(bpffs, Access::kRead)->has_value());
    CHECK_FALSE((*PinnedMaps::open(bpffs, Access::kRead, Which::kState))->complete());
    const auto maps = create(bpffs);
    CHECK(maps.complete());
    CHECK(maps.peers()->size() == 1);
    CHECK(maps.metrics());
    CHECK(maps.withheld()->empty());
  }
  REQUIRE(std::filesystem::remove(bpffs / "peers"));
  CHECK_FALSE(PinnedMaps::open(bpffs, Access::kRead, Which::kState)->has_value());
}

TEST_CASE("maps: what was withheld is read in order, and forgotten node by node") {
  auto maps = create(new_pin_folder());
  const sheath_withheld_key keys[] = {{7, SHEATH_DIRECTION_uplink_ingress, SHEATH_REASON_plaintext_ingress, 1, {}},
                                      {8, SHEATH_DIRECTION_uplink_egress, SHEATH_REASON_no_key, 0, {}},
                                      {7, SHEATH_DIRECTION_uplink_egress, SHEATH_REASON_no_key, 1, {}}};
  for (const auto& key : keys) {
    const sheath_withheld value{3, 300, 5};
    REQUIRE(bpf_map_update_elem(maps.fd("withheld"), &key, &value, BPF_ANY) == 0);
  }
  const auto all = maps.withheld();
  REQUIRE(all);
  REQUIRE(all->size() == 3);
  CHECK((*all)[0].first.node_id == 8);
  CHECK((*all)[1].first.direction == SHEATH_DIRECTION_uplink_egress);
  CHECK((*all)[2].second.bytes == 300);
  REQUIRE(maps.delete_withheld(7));
  const auto rest = maps.withheld();
  REQUIRE(rest->size() == 1);
  CHECK((*rest)[0].first.node_id == 8);
}

TEST_CASE("maps: a pin of another layout is named and left alone, and nothing is made beside it") {
  const auto bpffs = new_pin_folder();
  std::filesystem::create_directories(bpffs);
  REQUIRE(test::run("bpftool map create " + (bpffs / "peers").string() +
                    " type hash key 4 value 16 entries 10 name peers"));
  const auto maps = PinnedMaps::create(bpffs);
  REQUIRE_FALSE(maps);
  CHECK(maps.error().what().find("map peers is pinned with another layout") != std::string::npos);
  CHECK(maps.error().hint().find("sheath unload") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(bpffs / "node_ips"));
  CHECK(std::filesystem::exists(bpffs / "peers"));
}

TEST_CASE("maps: opened for reading, they cannot be written") {
  const auto bpffs = new_pin_folder();
  create(bpffs);
  auto maps = PinnedMaps::open(bpffs, Access::kRead);
  REQUIRE(maps);
  REQUIRE(maps->has_value());
  CHECK((*maps)->peers());
  CHECK((*maps)->metrics());
  const auto written = (*maps)->set_peers({{1, {0, SHEATH_PEER_ready, {}, SHEATH_NODE_TRAFFIC_plain}}});
  REQUIRE_FALSE(written);
  CHECK(written.error().error_number() == EPERM);
}

TEST_CASE("maps: a folder that is not on a bpf file system is refused with the mount command") {
  const auto maps = PinnedMaps::create("/tmp/sheath-is-not-here/x");
  REQUIRE_FALSE(maps);
  CHECK(maps.error().what() == "/tmp/sheath-is-not-here/x is not on a bpf file system");
  CHECK(maps.error().hint().find("mount -t bpf") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists("/tmp/sheath-is-not-here"));
}

}  // namespace
}  // namespace sheath::bpf
