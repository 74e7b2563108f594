// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"
#include "maps/types.h"

// The pinned maps of a node, as typed tables. Reads see the kernel's state at that moment; nothing is cached.
namespace sheath::bpf {

using Owners = std::map<IpAddress, sheath_owner>;
using CidrOwners = std::map<Cidr, sheath_owner>;
using Peers = std::map<std::uint16_t, sheath_peer>;
using Heard = std::map<std::uint16_t, sheath_heard>;
using Endpoints = std::map<IpAddress, sheath_endpoint>;
using Withheld = std::vector<std::pair<sheath_withheld_key, sheath_withheld>>;
// By direction, summed over the CPUs.
using Metrics = std::array<sheath_counters, SHEATH_DIRECTION_COUNT>;

enum class Access { kRead, kWrite };

// kState: all but those that only count or report, which may be missing. They can be lost without harm.
enum class Which { kAll, kState };

// What the kernel says of a pinned map.
struct MapInfo {
  std::string name;
  std::uint32_t id = 0;
  std::uint32_t type = 0;        // enum bpf_map_type
  std::string type_name;         // "hash", "lpm_trie", as bpftool writes it
  std::uint32_t key_size = 0;    // bytes
  std::uint32_t value_size = 0;  // bytes; of one CPU
  std::uint32_t max_entries = 0;
  std::uint32_t flags = 0;
  bool btf = false;
};

class PinnedMaps {
 public:
  // Opens the maps, making and pinning those that are missing. A pin of another type or layout, which another version
  // made, is an error that names it; of a map that only counts it is replaced, and counts from zero. On failure the
  // maps that this call made are gone again.
  static Result<PinnedMaps> create(const std::filesystem::path& bpffs);
  // nullopt unless they are pinned, in the layout that is ours: an incomplete set is one that `create` has to complete.
  static Result<std::optional<PinnedMaps>> open(const std::filesystem::path& bpffs, Access access,
                                                Which which = Which::kAll);
  // Some of them that are open already, pinned or not, by name: their tables can be written and read.
  using Fds = std::map<std::string, UniqueFd, std::less<>>;
  static PinnedMaps adopt(Fds fds) { return PinnedMaps(std::move(fds)); }
  // Unpins them all; programs that use them keep them alive. No error when there are none.
  static Result<> remove(const std::filesystem::path& bpffs);
  // Their names, in the order of maps/maps.bpf.h.
  static Result<std::vector<std::string>> names();

  Result<std::vector<MapInfo>> info() const;
  // Whether all maps are open.
  bool complete() const;
  // Open as long as this object lives; -1 for a name that is not of `names`.
  int fd(std::string_view name) const;

  Result<Owners> node_ips() const;
  // pod_cidrs4 and pod_cidrs6 as one.
  Result<CidrOwners> pod_cidrs() const;
  Result<Peers> peers() const;
  // What tunnel_ingress noted, by node ID.
  Result<Heard> heard() const;
  // Of these alone.
  Result<Heard> heard_of(const std::set<std::uint16_t>& node_ids) const;
  Result<Endpoints> endpoints() const;
  Result<Metrics> metrics() const;
  // By direction, then whether it was dropped, reason and peer.
  Result<Withheld> withheld() const;

  // Add or overwrite; the other entries stay. Not atomic as a whole, each entry is.
  Result<> set_node_ips(const Owners& entries);
  Result<> set_pod_cidrs(const CidrOwners& entries);
  Result<> set_peers(const Peers& entries);
  Result<> set_endpoints(const Endpoints& entries);

  // No error for what is not there.
  Result<> delete_node_ip(const IpAddress& address);
  Result<> delete_pod_cidr(const Cidr& cidr);
  Result<> delete_peer(std::uint16_t node_id);
  Result<> delete_heard(std::uint16_t node_id);
  // All entries about a node.
  Result<> delete_withheld(std::uint16_t node_id);
  Result<> delete_endpoint(const IpAddress& address);

  // Takes generations (bit g: generation g) out of what was heard from a node. What is heard in the same instant may
  // get lost: the next packet brings it again.
  Result<> clear_heard(std::uint16_t node_id, std::uint16_t generations);

 private:
  explicit PinnedMaps(Fds fds, UniqueFd peers_view = {}) : fds_(std::move(fds)), peers_view_(std::move(peers_view)) {}

  Fds fds_;
  // The kernel maps nothing of a descriptor that is for reading alone: this one is for that, and for nothing else.
  UniqueFd peers_view_;
};

}  // namespace sheath::bpf
