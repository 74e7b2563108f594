// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/base/result.hpp"
#include "loader/netlink/socket.hpp"

// IPsec: ESP states and policies in tunnel mode (netlink protocol NETLINK_XFRM; linux/xfrm.h). Needs CAP_NET_ADMIN for
// reading too.
namespace sheath::netlink {

// Bits of a packet's mark: it fits when (mark & mask) == value. As an output mark: the bits that are set on it.
struct XfrmMark {
  std::uint32_t value = 0;
  std::uint32_t mask = 0xffffffff;

  bool operator==(const XfrmMark&) const = default;
};

// What a state encrypts with, in the kernel's names: either `aead` or the other two.
struct XfrmAlgorithms {
  // "rfc4106(gcm(aes))", "rfc7539esp(chacha20,poly1305)"
  std::string aead;
  // "hmac(sha256)"
  std::string authentication;
  // "cbc(aes)"
  std::string encryption;
  // Size of the integrity check value that each packet carries. 0 with `authentication`: the kernel's own choice, which
  // for hmac(sha256) is 96 and not the 128 of RFC 4868.
  std::uint32_t icv_bits = 0;

  bool operator==(const XfrmAlgorithms&) const = default;
};

// Views: whoever owns the bytes wipes them.
struct XfrmKeys {
  // Of `aead` (with its salt) or `encryption`.
  Bytes encryption;
  Bytes authentication;
};

// The kernel tells states apart by destination, SPI and mark; on receive it looks them up so too, not by source.
struct XfrmState {
  IpAddress source;
  IpAddress destination;
  std::uint32_t spi = 0;
  std::uint32_t reqid = 0;
  // The xfrm device it belongs to; 0: none.
  std::uint32_t if_id = 0;
  // The marks of the packets that it is for. Absent: all.
  std::optional<XfrmMark> mark;
  // Set on what leaves it: the outer packet of a transmit state, the inner one of a receive state.
  std::optional<XfrmMark> output_mark;
  // In packets; at most 4096, and not 0 with esn.
  std::uint32_t replay_window = 0;
  // Sequence numbers of 64 bits (RFC 4304).
  bool esn = false;
  // Inner packets may be of either family.
  bool af_unspec = false;
  XfrmAlgorithms algorithms;

  bool operator==(const XfrmState&) const = default;
};

using XfrmKeyDigest = std::array<std::uint8_t, 16>;
// Gets the keys of a state that was listed; they are wiped when it has returned.
using XfrmDigester = std::function<XfrmKeyDigest(const XfrmKeys&)>;

// A state as the kernel has it. Its keys are in no field.
struct XfrmStateReport {
  XfrmState state;
  // What the digester returned; absent when keys_hidden.
  std::optional<XfrmKeyDigest> key_digest;
  // The kernel gives no keys out (lockdown), all their bytes read zero.
  bool keys_hidden = false;
  // It has something that XfrmState has no field for: another mode, a selector, a lifetime, UDP encapsulation, ...
  bool unusual = false;

  // Inner bytes and packets.
  std::uint64_t bytes = 0;
  std::uint64_t packets = 0;
  // Seconds since the epoch, of the realtime clock; use_time is that of the first packet, 0: there was none.
  std::uint64_t add_time = 0;
  std::uint64_t use_time = 0;
  // The last sequence number that was sent; the highest that was received.
  std::uint64_t sent_sequence = 0;
  std::uint64_t received_sequence = 0;
  // Packets that were dropped: older than the replay window, seen before, forged or damaged.
  std::uint32_t too_old = 0;
  std::uint32_t replayed = 0;
  std::uint32_t integrity_failed = 0;

  bool operator==(const XfrmStateReport&) const = default;
};

// Seen from the host: kForward is for what was decrypted and is passed on.
enum class XfrmDirection : std::uint8_t { kIn = 0, kOut = 1, kForward = 2 };
enum class XfrmAction : std::uint8_t { kAllow = 0, kBlock = 1 };

// ESP in tunnel mode.
struct XfrmTemplate {
  // Absent: any.
  std::optional<IpAddress> source;
  std::optional<IpAddress> destination;
  // 0: any.
  std::uint32_t spi = 0;
  std::uint32_t reqid = 0;
  // Packets that came without ESP pass too (level use). Not for kOut.
  bool optional = false;

  bool operator==(const XfrmTemplate&) const = default;
};

// The kernel tells policies apart by selector, direction, mark (value and mask) and if_id.
struct XfrmPolicy {
  Cidr source;
  Cidr destination;
  XfrmDirection direction = XfrmDirection::kOut;
  // Smaller wins.
  std::uint32_t priority = 0;
  std::uint32_t if_id = 0;
  std::optional<XfrmMark> mark;
  XfrmAction action = XfrmAction::kAllow;
  // Absent: what is allowed goes as it is.
  std::optional<XfrmTemplate> encryption;

  bool operator==(const XfrmPolicy&) const = default;
};

// A policy as the kernel has it.
struct XfrmPolicyReport {
  XfrmPolicy policy;
  // Stays the same when a policy is updated.
  std::uint32_t index = 0;
  // It has something that XfrmPolicy has no field for: ports, a lifetime, a second template, another mode, ...
  bool unusual = false;

  bool operator==(const XfrmPolicyReport&) const = default;
};

class Xfrm {
 public:
  // Of the network namespace one is in. Fails, with a hint what to enable, on a kernel without this netlink protocol.
  static Result<Xfrm> open();

  // The copy of the keys in the message is wiped. Fails with EEXIST when destination and SPI are taken by a state whose
  // mark fits; an algorithm that the kernel lacks gives an error whose hint names it and its modules.
  Result<> add_state(const XfrmState& state, const XfrmKeys& keys);
  // By destination, SPI and mark; the rest is ignored. Fails with ESRCH when it is gone already. (Like add_state, the
  // kernel takes a state without a mark for one with each.)
  Result<> delete_state(const XfrmState& state);
  // The ESP states of that if_id, 0: all; no keys of others are handed to the digester. In the kernel's order.
  Result<std::vector<XfrmStateReport>> list_states(std::uint32_t if_id, const XfrmDigester& digest);

  // Fails with EEXIST when there is one.
  Result<> add_policy(const XfrmPolicy& policy);
  // Replaces priority, action and template in one step, so that no packet meets none; adds it when there is none.
  Result<> update_policy(const XfrmPolicy& policy);
  // By selector, direction, mark and if_id; the rest is ignored. Fails with ENOENT when it is gone already.
  Result<> delete_policy(const XfrmPolicy& policy);
  // Of that if_id, 0: all. Policies of single sockets are left out.
  Result<std::vector<XfrmPolicyReport>> list_policies(std::uint32_t if_id);

 private:
  explicit Xfrm(Socket socket) : socket_(std::move(socket)) {}
  Result<> send(Result<Message> message, const std::string& doing);

  Socket socket_;
};

}  // namespace sheath::netlink
