// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "selftests/harness/datapath.hpp"
#include "tools/bench.d/datapath/spread.h"

// The ways of a packet that are measured, in a cluster of any size:
//
//   node      addresses                          pods
//   this one  172.18.0.3    fd00:18:ffff::3      10.255.0.0/24   fd00:10:ff00::/64
//   N         172.20.X.Y    fd00:18::XXYY        10.X.Y.0/24     fd00:10:XXYY::/64     with N = 256 X + Y
//   any                                          10.0.0.0/8      fd00:10::/32          the cluster's range
//
// Every peer is ready. Numbers begin at 1.
namespace sheath::bench {

enum class Engine { kWireguard, kIpsec };
// Which address changes from packet to packet when destinations are spread.
enum class Varies { kNothing, kSource, kDest };

struct Path {
  const char* name;
  sheath_direction direction;
  Engine engine = Engine::kWireguard;
  bool node_encryption = false;
  bool fast_path = false;
  const char* source[2];  // IPv4, IPv6
  const char* dest[2];
  Varies varies = Varies::kDest;
  sheath_reason expected;
  std::uint8_t protocol = 6;
  std::uint16_t port = 8080;  // of both ends
  std::uint32_t mark = 0;
};

std::span<const Path> paths();

// What one measurement runs.
struct Case {
  std::string path;
  std::string family;  // "ipv4", "ipv6"
  std::uint32_t prefixes = 0;
  bool spread = false;
  int program = -1;
  std::uint32_t ifindex = 0;  // the device it is on; 0: the loopback device
  test::Bytes packet;
  spread_plan plan{};
};

// A cluster of so many peers, one prefix each, and the programs over its maps.
class Cluster {
 public:
  Cluster(Family family, std::uint32_t prefixes, bool node_encryption);

  // One destination, and spread over all of them where the path varies. Throws when the program does not decide what
  // the path expects.
  void add_cases(const Path& path, std::vector<Case>& cases);

 private:
  Case base_case(const Path& path) const;
  void check(const Path& path, const Case& what);

  Family family_;
  std::uint32_t prefixes_;
  std::unique_ptr<test::Datapath> datapath_;
};

// Instructions of a loaded program.
struct ProgramSize {
  std::string name;
  std::uint32_t xlated = 0;    // as the kernel runs it, before the JIT
  std::uint32_t jited = 0;     // bytes
  std::uint32_t verified = 0;  // how many the verifier looked at
};
ProgramSize size_of(const std::string& name, int program);

}  // namespace sheath::bench
