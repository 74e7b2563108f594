// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "loader/cli/commands.hpp"
#include "loader/cli/map_input.hpp"
#include "loader/cli/metrics_json.hpp"
#include "loader/state/nearest.hpp"
#include "maps/keys.hpp"
#include "maps/names.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;
using Align = Table::Align;

// One map's content, both ways.
struct Dump {
  Table table;
  Json json;
};

std::string hex(std::uint32_t value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%08" PRIx32, value);
  return text.data();
}

template <typename Entries>
Dump dump_owners(const Entries& entries, std::string_view key_title) {
  Dump dump{Table({{key_title}, {"KIND"}, {"NODE ID", Align::kRight}}), Json::array()};
  for (const auto& [key, owner] : entries) {
    const auto kind = maps::kind_name(owner.kind);
    dump.table.add({key.text(), std::string(kind), owner.node_id == 0 ? "-" : std::to_string(owner.node_id)});
    dump.json.push_back({{"key", key.text()}, {"kind", kind}, {"node_id", owner.node_id}});
  }
  return dump;
}

Result<Dump> dump_node_ips(const bpf::PinnedMaps& maps) {
  const auto entries = maps.node_ips();
  if (!entries) return fail(entries.error());
  return dump_owners(*entries, "NODE IP");
}

template <Family kFamily>
Result<Dump> dump_pod_cidrs(const bpf::PinnedMaps& maps) {
  auto entries = maps.pod_cidrs();
  if (!entries) return fail(entries.error());
  std::erase_if(*entries, [](const auto& entry) { return entry.first.address.family != kFamily; });
  return dump_owners(*entries, "POD CIDR");
}

std::optional<std::string> underlay_of(const sheath_peer& peer) {
  if (std::ranges::all_of(peer.underlay.addr, [](std::uint8_t byte) { return byte == 0; })) return std::nullopt;
  return maps::from_key(peer.underlay).text();
}

// The set as numbers: bit g stands for key ID g.
std::vector<int> key_ids(std::uint16_t bits) {
  std::vector<int> ids;
  for (int id = 0; id < 16; ++id) {
    if ((bits >> id & 1) != 0) ids.push_back(id);
  }
  return ids;
}

std::string list(const std::vector<int>& ids) {
  std::string text;
  for (const int id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text.empty() ? "-" : text;
}

Result<Dump> dump_peers(const bpf::PinnedMaps& maps) {
  const auto entries = maps.peers();
  if (!entries) return fail(entries.error());
  Dump dump{Table({{"NODE ID", Align::kRight}, {"TRANSMIT MARK"}, {"STATE"}, {"NODE TRAFFIC"}, {"UNDERLAY"}}),
            Json::array()};
  for (const auto& [node_id, peer] : *entries) {
    const auto state = maps::peer_state_name(peer.state);
    const auto underlay = underlay_of(peer);
    dump.table.add({std::to_string(node_id), hex(peer.tx_mark), std::string(state),
                    std::string(maps::node_traffic_name(peer.node_traffic)), underlay.value_or("-")});
    dump.json.push_back({{"key", node_id},
                         {"tx_mark", hex(peer.tx_mark)},
                         {"state", state},
                         {"node_traffic", maps::node_traffic_name(peer.node_traffic)},
                         {"underlay", underlay ? Json(*underlay) : Json()}});
  }
  return dump;
}

Result<Dump> dump_heard(const bpf::PinnedMaps& maps) {
  const auto entries = maps.heard();
  if (!entries) return fail(entries.error());
  Dump dump{Table({{"NODE ID", Align::kRight}, {"KEYS"}, {"USES"}}), Json::array()};
  for (const auto& [node_id, heard] : *entries) {
    const auto keys = key_ids(heard.keys);
    const auto uses = key_ids(heard.uses);
    dump.table.add({std::to_string(node_id), list(keys), list(uses)});
    dump.json.push_back({{"key", node_id}, {"keys", keys}, {"uses", uses}});
  }
  return dump;
}

Result<Dump> dump_endpoints(const bpf::PinnedMaps& maps) {
  const auto entries = maps.endpoints();
  if (!entries) return fail(entries.error());
  Dump dump{Table({{"ADDRESS"}, {"IFINDEX", Align::kRight}, {"POD MAC"}, {"HOST MAC"}}), Json::array()};
  for (const auto& [address, endpoint] : *entries) {
    const auto pod_mac = mac_text(endpoint.pod_mac);
    const auto host_mac = mac_text(endpoint.host_mac);
    dump.table.add({address.text(), std::to_string(endpoint.ifindex), pod_mac, host_mac});
    dump.json.push_back(
        {{"key", address.text()}, {"ifindex", endpoint.ifindex}, {"pod_mac", pod_mac}, {"host_mac", host_mac}});
  }
  return dump;
}

// Zeros too: a dump shows what the map holds.
Result<Dump> dump_metrics(const bpf::PinnedMaps& maps) {
  const auto metrics = maps.metrics();
  if (!metrics) return fail(metrics.error());
  Dump dump{Table({{"PROGRAM"}, {"REASON"}, {"PACKETS", Align::kRight}, {"BYTES", Align::kRight}}), Json::array()};
  for (const auto& direction : maps::directions()) {
    for (const auto& reason : maps::reasons()) {
      const auto& count = maps::counter((*metrics)[direction.direction], reason.reason);
      dump.table.add({std::string(direction.name), std::string(reason.name), std::to_string(count.packets),
                      std::to_string(count.bytes)});
      dump.json.push_back(
          {{"key", direction.name}, {"reason", reason.name}, {"packets", count.packets}, {"bytes", count.bytes}});
    }
  }
  return dump;
}

std::string_view direction_of(const sheath_withheld_key& key) {
  return maps::direction_name(static_cast<sheath_direction>(key.direction));
}

Result<Dump> dump_withheld(const bpf::PinnedMaps& maps) {
  const auto entries = maps.withheld();
  if (!entries) return fail(entries.error());
  Dump dump{Table({{"PROGRAM"},
                   {"REASON"},
                   {"NODE ID", Align::kRight},
                   {"DROPPED"},
                   {"PACKETS", Align::kRight},
                   {"BYTES", Align::kRight}}),
            Json::array()};
  for (const auto& [key, value] : *entries) {
    const auto reason = maps::reason_name(static_cast<sheath_reason>(key.reason));
    dump.table.add({std::string(direction_of(key)), std::string(reason),
                    key.node_id == 0 ? "-" : std::to_string(key.node_id), key.dropped != 0 ? "yes" : "no",
                    std::to_string(value.packets), std::to_string(value.bytes)});
    dump.json.push_back({{"key", direction_of(key)},
                         {"reason", reason},
                         {"node_id", key.node_id},
                         {"dropped", key.dropped != 0},
                         {"packets", value.packets},
                         {"bytes", value.bytes},
                         {"last_ns", value.last_ns}});
  }
  return dump;
}

Result<Dump> refuse_events(const bpf::PinnedMaps&) {
  return fail(Error::misuse("events is a ring buffer: it has no entries to dump"));
}

struct Dumper {
  std::string_view name;
  Result<Dump> (*dump)(const bpf::PinnedMaps&);
};

constexpr std::array kDumpers{
    Dumper{"node_ips", dump_node_ips},
    Dumper{"pod_cidrs4", dump_pod_cidrs<Family::kIpv4>},
    Dumper{"pod_cidrs6", dump_pod_cidrs<Family::kIpv6>},
    Dumper{"peers", dump_peers},
    Dumper{"heard", dump_heard},
    Dumper{"endpoints", dump_endpoints},
    Dumper{"metrics", dump_metrics},
    Dumper{"withheld", dump_withheld},
    Dumper{"events", refuse_events},
};

Result<Dumper> find_dumper(std::string_view name) {
  const auto found = std::ranges::find(kDumpers, name, &Dumper::name);
  if (found != kDumpers.end()) return *found;
  std::vector<std::string_view> names;
  names.reserve(kDumpers.size());
  for (const auto& dumper : kDumpers) names.push_back(dumper.name);
  auto hint = state::nearest_hint(name, names);
  return fail(Error::misuse("there is no map \"" + std::string(name) + "\"")
                  .hint(hint.empty() ? "`sheath map list` names them" : hint));
}

Result<Outcome> run_map_dump(const Invocation& invocation) {
  const auto dumper = find_dumper(invocation.arguments[0]);
  if (!dumper) return fail(dumper.error());
  const auto input = open_maps(invocation);
  if (!input) return fail(input.error());
  const auto dump = dumper->dump(input->maps);
  if (!dump) return fail(dump.error());
  return Outcome{invocation.json() ? json_text(dump->json) : dump->table.text()};
}

}  // namespace

Command map_dump_command() {
  return {.name = "map dump",
          .summary = "the entries of a pinned map",
          .arguments = "NAME",
          .min_arguments = 1,
          .max_arguments = 1,
          .details =
              "Shows what is in node_ips, pod_cidrs4, pod_cidrs6, peers, heard, endpoints, metrics or withheld.\n"
              "Counters are summed over the CPUs. `bpftool map dump pinned PIN` shows the same, CPU by CPU.",
          .options = {},
          .examples = {{"sheath map dump pod_cidrs4", "which pod CIDR belongs to which node"},
                       {"sheath map dump metrics -o json", "every verdict, counted"}},
          .run = run_map_dump};
}

}  // namespace sheath::cli
