// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "loader/base/address.hpp"

// What a packet on a wire is to somebody who has no key. Reads the bytes by itself: the programs that are judged here
// read theirs with other code. Pure.
namespace sheath::verify {

// The ports of the configuration that make a UDP packet one of ours.
struct OuterPorts {
  std::uint16_t wireguard = 0;
  std::uint16_t vxlan = 0;
};

// Ciphertext on its way: to whom, and of what kind.
struct Outer {
  IpAddress destination;
  std::string kind;  // "WireGuard", "ESP", "ESP in VXLAN"
};

// nullopt for what is not WireGuard, ESP, or ESP in VXLAN. The bytes begin with an IP header; they may be cut short.
std::optional<Outer> read_outer(std::span<const std::uint8_t> packet, const OuterPorts& ports);

struct Ends {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;
};

// Of an IP packet; nullopt when it is none.
std::optional<Ends> read_ends(std::span<const std::uint8_t> packet);

}  // namespace sheath::verify
