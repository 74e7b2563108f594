// SPDX-License-Identifier: Apache-2.0
#include "selftests/harness/packet_socket.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace sheath::test {
namespace {

constexpr int kPatience = 3000;  // milliseconds without a frame

std::optional<std::uint16_t> tag_of(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_PACKET || part->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata auxiliary{};
    std::memcpy(&auxiliary, CMSG_DATA(part), sizeof(auxiliary));
    if ((auxiliary.tp_status & TP_STATUS_VLAN_VALID) != 0) return auxiliary.tp_vlan_tci;
  }
  return std::nullopt;
}

[[noreturn]] void give_up(const std::string& doing) {
  throw std::runtime_error(doing + ": " + std::strerror(errno));
}

}  // namespace

PacketSocket::PacketSocket(const std::string& device) : socket_(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))) {
  if (!socket_) give_up("packet socket");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
  const int on = 1;
  if (setsockopt(socket_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0) give_up("offload header");
  if (setsockopt(socket_.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) != 0) give_up("tags");
  if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) give_up(device);
}

void PacketSocket::set_mark(std::uint32_t mark) {
  if (setsockopt(socket_.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0) give_up("mark");
}

void PacketSocket::send(const Frame& frame) {
  Frame copy = frame;
  iovec parts[] = {{&copy.offload, sizeof(copy.offload)}, {copy.bytes.data(), copy.bytes.size()}};
  // ENOBUFS: a program on the way out dropped it.
  if (writev(socket_.get(), parts, 2) < 0 && errno != ENOBUFS) give_up("send");
}

std::optional<Frame> PacketSocket::receive(const std::function<bool(const Frame&)>& fits) {
  pollfd ready{socket_.get(), POLLIN, 0};
  while (poll(&ready, 1, kPatience) > 0) {
    Frame frame;
    frame.bytes.resize(65536 + 64);
    sockaddr_ll from{};
    iovec parts[] = {{&frame.offload, sizeof(frame.offload)}, {frame.bytes.data(), frame.bytes.size()}};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    alignas(cmsghdr) std::uint8_t control[256];
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t size = recvmsg(socket_.get(), &message, 0);
    if (size < static_cast<ssize_t>(sizeof(frame.offload))) give_up("receive");
    frame.bytes.resize(static_cast<std::size_t>(size) - sizeof(frame.offload));
    frame.tag = tag_of(message);
    frame.outgoing = from.sll_pkttype == PACKET_OUTGOING;
    if (fits(frame)) return frame;
  }
  return std::nullopt;
}

}  // namespace sheath::test
