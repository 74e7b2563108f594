// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "selftests/harness/traffic_socket.hpp"

namespace sheath::traffic {

// How a client speaks to the echo server. Every payload is the marker, over and over, behind a header of its own.
struct ClientOptions {
  Endpoint to;
  std::string marker;
  std::size_t bytes = 64;                      // per datagram or per connection
  std::uint64_t count = 1;                     // datagrams or connections, one after another
  std::optional<std::filesystem::path> until;  // instead of a count: until this file exists
  std::chrono::milliseconds interval{0};       // between two datagrams
  std::chrono::milliseconds patience{2000};    // for an answer
  Fragmentation fragmentation = Fragmentation::kByPathMtu;
};

struct DatagramTally {
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;
  std::uint64_t reordered = 0;  // answers that came after a later one's
  std::uint64_t refused = 0;    // ICMP errors: port unreachable
};

// Sends `bytes` over each connection and compares what comes back, byte by byte.
Result<> run_tcp(const ClientOptions& options);

// Sends numbered datagrams and counts the answers.
Result<DatagramTally> run_udp(const ClientOptions& options);

// Sends datagrams that fill `bytes` of IP packet with DF set, until the kernel has learned a smaller path MTU; that.
Result<int> learn_path_mtu(const ClientOptions& options);

}  // namespace sheath::traffic
