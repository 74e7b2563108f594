// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/pinned_maps.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

#include "loader/bpf/error.hpp"
#include "loader/bpf/mapped_array.hpp"
#include "loader/bpf/object.hpp"
#include "loader/bpf/pins.hpp"
#include "loader/bpf/table.hpp"
#include "maps/keys.hpp"

namespace sheath::bpf {
namespace {

using NodeIpTable = Table<sheath_addr, sheath_owner>;
using Prefix4Table = Table<sheath_prefix4, sheath_owner>;
using Prefix6Table = Table<sheath_prefix6, sheath_owner>;
using PeerTable = Table<std::uint32_t, sheath_peer>;  // an array: what is all zero is not there
using HeardTable = Table<std::uint32_t, sheath_heard>;
using WithheldTable = Table<sheath_withheld_key, sheath_withheld>;
using EndpointTable = Table<sheath_addr, sheath_endpoint>;

// What the contract says a map has to be.
struct MapShape {
  std::uint32_t type, key_size, value_size, max_entries, flags;
  bool operator==(const MapShape&) const = default;
};

MapShape shape_of(const bpf_map* map) {
  return {static_cast<std::uint32_t>(bpf_map__type(map)), bpf_map__key_size(map), bpf_map__value_size(map),
          bpf_map__max_entries(map), bpf_map__map_flags(map)};
}

MapShape shape_of(const bpf_map_info& info) {
  return {info.type, info.key_size, info.value_size, info.max_entries, info.map_flags};
}

std::string type_name(std::uint32_t type) {
  const char* name = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type));
  return name != nullptr ? name : std::to_string(type);
}

std::string text(const MapShape& shape) {
  return type_name(shape.type) + " of " + std::to_string(shape.max_entries) + ", key " +
         std::to_string(shape.key_size) + " bytes, value " + std::to_string(shape.value_size) + " bytes, flags " +
         std::to_string(shape.flags);
}

Result<bpf_map_info> read_info(int fd, const std::string& name) {
  bpf_map_info info{};
  std::uint32_t length = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return fail(kernel_error("read about map " + name, errno));
  return info;
}

// A map of the contract, maps/maps.bpf.h.
struct Wanted {
  std::string name;
  MapShape shape;
  // The rest is what the programs decide by.
  bool only_counts() const { return name == "metrics" || name == "withheld" || name == "events"; }
};

std::vector<bpf_map*> contract_maps(const Object& object) {
  std::vector<bpf_map*> maps;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    if (is_contract_map(map)) maps.push_back(map);
  }
  return maps;
}

Result<std::vector<Wanted>> read_contract() {
  const auto object = open_object(maps_image(), "maps");
  if (!object) return fail(object.error());
  std::vector<Wanted> out;
  for (const bpf_map* map : contract_maps(*object)) out.push_back({bpf_map__name(map), shape_of(map)});
  return out;
}

// The same as long as this process lives: it comes with the binary.
const Result<std::vector<Wanted>>& contract() {
  static const auto read = read_contract();
  return read;
}

// False for a map that only counts, in another version's layout.
Result<bool> check_shape(int fd, const Wanted& map) {
  const auto info = read_info(fd, map.name);
  if (!info) return fail(info.error());
  const auto found = shape_of(*info);
  if (found == map.shape) return true;
  if (map.only_counts()) return false;
  return fail(
      Error("map " + map.name + " is pinned with another layout: " + text(found) + "; needed: " + text(map.shape))
          .hint("another version made it: run `sheath unload`, then `sheath apply`"));
}

// The pinned map, checked against the contract; empty when it is not pinned, or is to be replaced.
Result<UniqueFd> open_pin(const fs::path& bpffs, const Wanted& map, Access access) {
  const auto path = bpffs / map.name;
  LIBBPF_OPTS(bpf_obj_get_opts, options);
  options.file_flags = access == Access::kRead ? static_cast<std::uint32_t>(BPF_F_RDONLY) : 0;
  UniqueFd fd(bpf_obj_get_opts(path.c_str(), &options));
  if (!fd && errno == ENOENT) return UniqueFd();
  if (!fd) return fail(kernel_error("open map " + path.string(), errno));
  const auto good = check_shape(fd.get(), map);
  if (!good) return fail(good.error());
  return *good ? std::move(fd) : UniqueFd();
}

// Those of the maps that are not pinned yet. libbpf makes and pins these, and reuses the others.
Result<std::vector<fs::path>> set_pin_paths(const fs::path& bpffs, const Object& object) {
  std::vector<fs::path> missing;
  for (bpf_map* map : contract_maps(object)) {
    const auto fd = open_pin(bpffs, {bpf_map__name(map), shape_of(map)}, Access::kWrite);
    if (!fd) return fail(fd.error());
    const auto path = bpffs / bpf_map__name(map);
    if (!*fd) {
      missing.push_back(path);
      if (auto removed = remove_pin(path); !removed) return fail(removed.error());
    }
    if (bpf_map__set_pin_path(map, path.c_str()) != 0) return fail(kernel_error("pin " + path.string(), errno));
  }
  return missing;
}

template <typename Rows, typename Entries, typename Convert>
void add_rows(Entries& entries, const Rows& rows, Convert convert) {
  for (const auto& [key, value] : rows) entries.emplace(convert(key), value);
}

bool is_absent(const sheath_peer& peer) {
  static constexpr sheath_peer kNothing{};
  return std::memcmp(&peer, &kNothing, sizeof peer) == 0;
}

sheath_counters sum(std::span<const sheath_counters> cpus) {
  sheath_counters total{};
#define SHEATH_SUM(name, verdict, doc)      \
  for (const auto& cpu : cpus) {            \
    total.name.packets += cpu.name.packets; \
    total.name.bytes += cpu.name.bytes;     \
  }
  SHEATH_REASONS(SHEATH_SUM)
#undef SHEATH_SUM
  return total;
}

}  // namespace

Result<PinnedMaps> PinnedMaps::create(const fs::path& bpffs) {
  if (auto made = make_pin_folder(bpffs); !made) return fail(made.error());
  auto whole = open(bpffs, Access::kWrite);
  if (!whole) return fail(std::move(whole.error()));
  if (*whole) return std::move(**whole);
  auto object = open_object(maps_image(), "maps");
  if (!object) return fail(object.error());
  const auto missing = set_pin_paths(bpffs, *object);
  if (!missing) return fail(missing.error());
  LogCapture log;
  if (const int failed = bpf_object__load(object->get()); failed != 0) {
    for (const auto& path : *missing) (void)remove_pin(path);
    return fail(kernel_error("create the maps in " + bpffs.string(), failed, log));
  }
  auto maps = open(bpffs, Access::kWrite);
  if (!maps) return fail(maps.error());
  if (!*maps) return fail("the maps in " + bpffs.string() + " went away while they were made");
  return std::move(**maps);
}

Result<std::optional<PinnedMaps>> PinnedMaps::open(const fs::path& bpffs, Access access, Which which) {
  const auto& wanted = contract();
  if (!wanted) return fail(wanted.error());
  Fds fds;
  for (const auto& map : *wanted) {
    auto fd = open_pin(bpffs, map, access);
    if (!fd) return fail(fd.error());
    if (!*fd && which == Which::kState && map.only_counts()) continue;
    if (!*fd) return std::nullopt;
    fds.emplace(map.name, std::move(*fd));
  }
  UniqueFd peers_view(access == Access::kRead ? bpf_obj_get((bpffs / "peers").c_str()) : -1);
  if (access == Access::kRead && !peers_view) return fail(kernel_error("open map peers", errno));
  return PinnedMaps(std::move(fds), std::move(peers_view));
}

Result<> PinnedMaps::remove(const fs::path& bpffs) {
  const auto pinned = names();
  if (!pinned) return fail(pinned.error());
  for (const auto& name : *pinned) {
    if (auto removed = remove_pin(bpffs / name); !removed) return removed;
  }
  return {};
}

Result<std::vector<std::string>> PinnedMaps::names() {
  const auto& wanted = contract();
  if (!wanted) return fail(wanted.error());
  std::vector<std::string> names;
  for (const auto& map : *wanted) names.push_back(map.name);
  return names;
}

Result<std::vector<MapInfo>> PinnedMaps::info() const {
  std::vector<MapInfo> list;
  for (const auto& [name, fd] : fds_) {
    const auto info = read_info(fd.get(), name);
    if (!info) return fail(info.error());
    list.push_back({name, info->id, info->type, type_name(info->type), info->key_size, info->value_size,
                    info->max_entries, info->map_flags, info->btf_value_type_id != 0});
  }
  return list;
}

bool PinnedMaps::complete() const {
  const auto all = names();
  return all && std::ranges::all_of(*all, [&](const std::string& name) { return fds_.contains(name); });
}

int PinnedMaps::fd(std::string_view name) const {
  const auto found = fds_.find(name);
  return found == fds_.end() ? -1 : found->second.get();
}

Result<Owners> PinnedMaps::node_ips() const {
  const auto rows = NodeIpTable(fd("node_ips"), "node_ips").dump();
  if (!rows) return fail(rows.error());
  Owners owners;
  add_rows(owners, *rows, [](const sheath_addr& key) { return maps::from_key(key); });
  return owners;
}

Result<CidrOwners> PinnedMaps::pod_cidrs() const {
  const auto rows4 = Prefix4Table(fd("pod_cidrs4"), "pod_cidrs4").dump();
  if (!rows4) return fail(rows4.error());
  const auto rows6 = Prefix6Table(fd("pod_cidrs6"), "pod_cidrs6").dump();
  if (!rows6) return fail(rows6.error());
  CidrOwners owners;
  add_rows(owners, *rows4, [](const sheath_prefix4& key) { return maps::from_key(key); });
  add_rows(owners, *rows6, [](const sheath_prefix6& key) { return maps::from_key(key); });
  return owners;
}

Result<Peers> PinnedMaps::peers() const {
  const auto slots =
      MappedArray<sheath_peer>::open(peers_view_ ? peers_view_.get() : fd("peers"), SHEATH_NODE_ID_MAX + 1);
  if (!slots) return fail(kernel_error("read map peers", slots.error().error_number()));
  Peers peers;
  for (std::uint32_t id = 0; id <= SHEATH_NODE_ID_MAX; ++id) {
    const sheath_peer peer = slots->at(id);
    if (!is_absent(peer)) peers.emplace(static_cast<std::uint16_t>(id), peer);
  }
  return peers;
}

Result<Heard> PinnedMaps::heard() const {
  const auto rows = HeardTable(fd("heard"), "heard").dump();
  if (!rows) return fail(rows.error());
  Heard heard;
  add_rows(heard, *rows, [](std::uint32_t key) { return static_cast<std::uint16_t>(key); });
  return heard;
}

Result<Heard> PinnedMaps::heard_of(const std::set<std::uint16_t>& node_ids) const {
  const HeardTable table(fd("heard"), "heard");
  Heard out;
  for (const auto id : node_ids) {
    const auto row = table.find(id);
    if (!row) return fail(row.error());
    if (*row) out[id] = **row;
  }
  return out;
}

Result<Endpoints> PinnedMaps::endpoints() const {
  const auto rows = EndpointTable(fd("endpoints"), "endpoints").dump();
  if (!rows) return fail(rows.error());
  Endpoints endpoints;
  add_rows(endpoints, *rows, [](const sheath_addr& key) { return maps::from_key(key); });
  return endpoints;
}

Result<Metrics> PinnedMaps::metrics() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return fail(kernel_error("count the CPUs", cpus));
  std::vector<sheath_counters> values(static_cast<std::size_t>(cpus));
  Metrics metrics{};
  for (std::uint32_t direction = 0; direction < metrics.size(); ++direction) {
    if (bpf_map_lookup_elem(fd("metrics"), &direction, values.data()) != 0) {
      return fail(kernel_error("read map metrics", errno));
    }
    metrics[direction] = sum(values);
  }
  return metrics;
}

Result<Withheld> PinnedMaps::withheld() const {
  auto rows = WithheldTable(fd("withheld"), "withheld").dump();
  if (!rows) return fail(std::move(rows.error()));
  std::ranges::sort(*rows, {}, [](const WithheldTable::Row& row) {
    const auto& key = row.first;
    return std::tuple(key.direction, key.dropped, key.reason, key.node_id);
  });
  return std::move(*rows);
}

Result<> PinnedMaps::set_node_ips(const Owners& entries) {
  std::vector<NodeIpTable::Row> rows;
  for (const auto& [address, owner] : entries) rows.emplace_back(maps::to_key(address), owner);
  return NodeIpTable(fd("node_ips"), "node_ips").set(rows);
}

Result<> PinnedMaps::set_pod_cidrs(const CidrOwners& entries) {
  std::vector<Prefix4Table::Row> rows4;
  std::vector<Prefix6Table::Row> rows6;
  for (const auto& [cidr, owner] : entries) {
    if (cidr.address.family == Family::kIpv4) {
      rows4.emplace_back(maps::to_prefix4(cidr), owner);
    } else {
      rows6.emplace_back(maps::to_prefix6(cidr), owner);
    }
  }
  if (auto written = Prefix4Table(fd("pod_cidrs4"), "pod_cidrs4").set(rows4); !written) return written;
  return Prefix6Table(fd("pod_cidrs6"), "pod_cidrs6").set(rows6);
}

Result<> PinnedMaps::set_peers(const Peers& entries) {
  std::vector<PeerTable::Row> rows(entries.begin(), entries.end());
  return PeerTable(fd("peers"), "peers").set(rows);
}

Result<> PinnedMaps::set_endpoints(const Endpoints& entries) {
  std::vector<EndpointTable::Row> rows;
  for (const auto& [address, endpoint] : entries) rows.emplace_back(maps::to_key(address), endpoint);
  return EndpointTable(fd("endpoints"), "endpoints").set(rows);
}

Result<> PinnedMaps::delete_node_ip(const IpAddress& address) {
  return NodeIpTable(fd("node_ips"), "node_ips").erase(maps::to_key(address));
}

Result<> PinnedMaps::delete_pod_cidr(const Cidr& cidr) {
  if (cidr.address.family == Family::kIpv4) {
    return Prefix4Table(fd("pod_cidrs4"), "pod_cidrs4").erase(maps::to_prefix4(cidr));
  }
  return Prefix6Table(fd("pod_cidrs6"), "pod_cidrs6").erase(maps::to_prefix6(cidr));
}

Result<> PinnedMaps::delete_peer(std::uint16_t node_id) {
  return PeerTable(fd("peers"), "peers").set(std::array{PeerTable::Row{node_id, {}}});
}

Result<> PinnedMaps::delete_heard(std::uint16_t node_id) {
  return HeardTable(fd("heard"), "heard").erase(node_id);
}

Result<> PinnedMaps::delete_withheld(std::uint16_t node_id) {
  WithheldTable table(fd("withheld"), "withheld");
  const auto rows = table.dump();
  if (!rows) return fail(rows.error());
  for (const auto& [key, value] : *rows) {
    if (key.node_id != node_id) continue;
    if (auto erased = table.erase(key); !erased) return erased;
  }
  return {};
}

Result<> PinnedMaps::clear_heard(std::uint16_t node_id, std::uint16_t generations) {
  HeardTable table(fd("heard"), "heard");
  const auto found = table.find(node_id);
  if (!found) return fail(found.error());
  if (!*found) return {};
  sheath_heard rest = **found;
  rest.keys &= static_cast<std::uint16_t>(~generations);
  rest.uses &= static_cast<std::uint16_t>(~generations);
  return table.set(std::array{HeardTable::Row{node_id, rest}});
}

Result<> PinnedMaps::delete_endpoint(const IpAddress& address) {
  return EndpointTable(fd("endpoints"), "endpoints").erase(maps::to_key(address));
}

}  // namespace sheath::bpf
