// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "loader/base/unique_fd.hpp"
#include "selftests/harness/packet.hpp"

namespace sheath::test {

// What is left to the device, as virtio describes it: struct virtio_net_hdr, whose header C++ cannot read.
struct Offload {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t hdr_len = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t csum_start = 0;
  std::uint16_t csum_offset = 0;
};
static_assert(sizeof(Offload) == 10);
inline constexpr std::uint8_t kNeedsChecksum = 1;                        // VIRTIO_NET_HDR_F_NEEDS_CSUM
inline constexpr std::uint8_t kGsoNone = 0, kGsoTcp4 = 1, kGsoTcp6 = 4;  // VIRTIO_NET_HDR_GSO_*

// A frame with what the kernel knows about it besides its bytes.
struct Frame {
  Offload offload{};
  Bytes bytes;
  std::optional<std::uint16_t> tag;  // the accelerated VLAN tag; only on receipt
  bool outgoing = false;             // seen on its way out
};

// Sends and captures frames on one device.
class PacketSocket {
 public:
  explicit PacketSocket(const std::string& device);

  // Of all frames that are sent from now on.
  void set_mark(std::uint32_t mark);
  // A frame that is dropped on its way out counts as sent.
  void send(const Frame& frame);
  // The next frame that fits, waiting for it; nothing when none has come for seconds.
  std::optional<Frame> receive(const std::function<bool(const Frame&)>& fits);

 private:
  UniqueFd socket_;
};

}  // namespace sheath::test
