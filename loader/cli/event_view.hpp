// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/cli/output.hpp"
#include "maps/types.h"

namespace sheath::cli {

// "TCP", "UDP", "ICMP", "SCTP", or "protocol 89".
std::string protocol_text(std::uint8_t protocol);
// An address, with the port if there is one: "10.244.1.5:443", "[fd00::5]:443".
std::string end_text(const IpAddress& address, std::uint16_t port);

// Which reports are shown: those that all that is given fits.
struct EventFilter {
  std::optional<sheath_direction> program;
  std::optional<sheath_reason> reason;  // or strict mode's
  std::optional<std::string> peer;      // by name
  std::optional<Cidr> address;          // source or destination
  bool drops_only = false;

  bool fits(const sheath_event& event, const std::string& peer_name) const;
};

// What names the numbers in a report.
struct EventNames {
  std::map<std::uint16_t, std::string> peers;
  std::map<std::uint32_t, std::string> devices;

  std::string peer(std::uint16_t node_id) const;    // "" for none, its ID for one without a name
  std::string device(std::uint32_t ifindex) const;  // its index for one that is gone
};

// One line. `time`: of the report, in seconds since the epoch.
std::string event_line(const sheath_event& event, const EventNames& names, double time, const Style& style);
std::string event_json(const sheath_event& event, const EventNames& names, double time);

}  // namespace sheath::cli
