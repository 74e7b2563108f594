// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/bpf/audit.hpp"
#include "loader/state/config.hpp"
#include "loader/state/node.hpp"

// An audit that goes on: whatever of the cluster can be read on an uplink, found in the kernel, so that all other
// packets cost a few look-ups.
namespace sheath::verify {

// Packets of one kind in the clear, in one direction.
struct Leak {
  std::string device;
  bool leaving = false;
  // A pod's packets under this node's address: node traffic, and node encryption is off, so they are as configured.
  bool masqueraded = false;
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;  // IP's number of the upper layer
  // The lower of both ports, which is mostly the service's; the other one is 0, or else each connection were a leak of
  // its own.
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;

  auto operator<=>(const Leak&) const = default;
};

struct WatchReport {
  std::vector<std::string> devices;     // that were watched in the end
  sheath_audit counters{};              // of all packets
  std::map<Leak, std::uint64_t> leaks;  // packets; fewer than were counted when reports were lost in a flood
};

Leak leak_of(const sheath_event& event, const std::string& device);

// Who is who, and what ought to be encrypted: by configuration and node objects alone. Pure.
bpf::AuditTables audit_tables(const state::Config& config, const state::Cluster& cluster);

// Until `stop` is set, or the time is over. `show` gets each leak once, when it is first seen; when it returns false,
// nobody listens any more, and the watch ends. Uplinks that come and go are followed.
Result<WatchReport> watch(const state::Config& config, const state::Cluster& cluster, const std::atomic<bool>& stop,
                          std::optional<std::chrono::seconds> time, const std::function<bool(const Leak&)>& show);

}  // namespace sheath::verify
