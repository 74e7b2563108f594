// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>

#include "loader/plan/model.hpp"

// What the machine says about itself, and no configuration can know.
namespace sheath::plan {

struct Uplink {
  std::string name;
  std::uint32_t mtu = 0;
  std::uint8_t l2_len = 14;          // bytes before the IP header
  std::vector<IpAddress> addresses;  // of global scope, usable as a source
  std::uint32_t ifindex = 0;
};

// A tunnel device of others (flannel.1, tunl0): what leaves by it goes on inside packets from node to node, and can be
// read there. So it is watched like an uplink, but outer packets of ours do not leave by it.
struct OverlayDevice {
  std::string name;
  std::uint32_t ifindex = 0;
  std::uint8_t l2_len = 14;  // bytes before the IP header
  bool up = false;
};

// A pod of this node, for the fast path.
struct LocalPod {
  std::string device;
  EndpointEntry entry;
};

// Of table main, not Sheath's own.
struct MainRoute {
  Cidr destination;
  std::uint32_t metric = 0;
  Way way;
};

struct Facts {
  std::vector<Uplink> uplinks;          // in the order of the configuration; the first is the main one
  std::vector<OverlayDevice> overlays;  // of others
  std::set<IpAddress> local_addresses;  // of all devices but the overlay's
  bool trace = false;                   // somebody wants to see what is not dropped, too
  bool has_nf_tables = true;            // what the backstop is made of
  int all_rp_filter = 0;                // net.ipv4.conf.all.rp_filter
  std::map<Program, std::uint64_t> builds;
  std::map<IpAddress, LocalPod> pods;  // empty without the fast path
  std::vector<MainRoute> routes;       // empty where no node traffic is encrypted, and rp_filter is off
};

}  // namespace sheath::plan
