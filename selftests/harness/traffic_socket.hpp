// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"

// The few socket calls that sheath_traffic needs, as values.
namespace sheath::traffic {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

// SOCK_STREAM or SOCK_DGRAM, bound to every address of both families; a stream socket listens.
Result<UniqueFd> open_server(int type, std::uint16_t port);

// Connected to the endpoint.
Result<UniqueFd> open_client(int type, const Endpoint& to);

// Writes all of it, whatever the kernel takes at a time.
Result<> send_all(int fd, Bytes bytes);

// What has come, at most `into.size()` bytes. Empty when nothing came in time; 0 when a stream has ended.
Result<std::optional<std::size_t>> receive(int fd, MutableBytes into, std::chrono::milliseconds patience);

enum class Fragmentation { kByPathMtu, kNever, kAllowed };

// What the kernel may do with a datagram larger than the path: kNever sets DF and lets send() fail with EMSGSIZE;
// kAllowed leaves DF off.
Result<> set_fragmentation(int fd, Family family, Fragmentation fragmentation);

// The path MTU that the kernel knows for a connected socket.
Result<int> path_mtu(int fd, Family family);

}  // namespace sheath::traffic
