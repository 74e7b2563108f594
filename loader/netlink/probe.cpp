// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/probe.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "loader/netlink/wire_address.hpp"

namespace sheath::netlink {
namespace {

// Inside a tunnel there are one or two; what goes astray does not wander long.
constexpr std::uint8_t kHops = 8;

using ProbePayload = std::array<std::uint8_t, kProbePayloadSize>;

ProbePayload probe_payload(std::uint8_t uses) {
  ProbePayload out{};
  std::ranges::copy(kProbeText, out.begin());
  out[kProbeText.size()] = uses;
  return out;
}

template <typename Header>
std::vector<std::uint8_t> packet_of(const Header& header, Bytes payload) {
  std::vector<std::uint8_t> out(sizeof header + payload.size());
  std::memcpy(out.data(), &header, sizeof header);
  std::ranges::copy(payload, out.begin() + sizeof header);
  return out;
}

// RFC 1071, over a header whose checksum is still 0. The sum keeps the order of the bytes in memory.
std::uint16_t checksum(const iphdr& header) {
  std::array<std::uint16_t, sizeof header / sizeof(std::uint16_t)> words;
  std::memcpy(words.data(), &header, sizeof header);
  std::uint32_t sum = 0;
  for (const std::uint16_t word : words) sum += word;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

iphdr ipv4_header(const IpAddress& source, const IpAddress& destination, std::size_t payload_size) {
  iphdr header{};
  header.version = 4;
  header.ihl = sizeof header / 4;
  header.tot_len = htons(static_cast<std::uint16_t>(sizeof header + payload_size));
  header.frag_off = htons(IP_DF);
  header.ttl = kHops;
  header.protocol = kProbeProtocol;
  std::memcpy(&header.saddr, source.bytes.data(), sizeof header.saddr);
  std::memcpy(&header.daddr, destination.bytes.data(), sizeof header.daddr);
  header.check = checksum(header);
  return header;
}

ip6_hdr ipv6_header(const IpAddress& source, const IpAddress& destination, std::size_t payload_size) {
  constexpr std::uint32_t kVersion6 = 6u << 28;
  ip6_hdr header{};
  header.ip6_flow = htonl(kVersion6);
  header.ip6_plen = htons(static_cast<std::uint16_t>(payload_size));
  header.ip6_nxt = kProbeProtocol;
  header.ip6_hlim = kHops;
  std::memcpy(&header.ip6_src, source.bytes.data(), sizeof header.ip6_src);
  std::memcpy(&header.ip6_dst, destination.bytes.data(), sizeof header.ip6_dst);
  return header;
}

std::optional<std::uint16_t> ether_type(Bytes packet) {
  const int version = packet.empty() ? 0 : packet[0] >> 4;
  if (version == 4) return ETH_P_IP;
  if (version == 6) return ETH_P_IPV6;
  return std::nullopt;
}

Result<> send_as(int fd, std::uint32_t ifindex, std::uint16_t type, Bytes packet) {
  sockaddr_ll device{};
  device.sll_family = AF_PACKET;
  device.sll_protocol = htons(type);
  device.sll_ifindex = static_cast<int>(ifindex);
  ssize_t sent = 0;
  do {
    sent = sendto(fd, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&device), sizeof device);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return fail(Error::system(errno));
  return {};
}

Result<> send_marked(int fd, std::uint32_t ifindex, std::uint32_t mark, Bytes packet) {
  const auto type = ether_type(packet);
  if (!type) return fail("it is neither IPv4 nor IPv6");
  if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) return fail(Error::system("set the mark", errno));
  return send_as(fd, ifindex, *type, packet);
}

}  // namespace

std::vector<std::uint8_t> probe_packet(const IpAddress& source, const IpAddress& destination, std::uint8_t uses) {
  return ip_packet(source, destination, probe_payload(uses));
}

std::vector<std::uint8_t> ip_packet(const IpAddress& source, const IpAddress& destination, Bytes payload) {
  if (destination.family == Family::kIpv4) {
    return packet_of(ipv4_header(source, destination, payload.size()), payload);
  }
  return packet_of(ipv6_header(source, destination, payload.size()), payload);
}

Result<PacketSocket> PacketSocket::open() {
  // Protocol 0: it sends and gets nothing.
  UniqueFd fd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::system("open packet socket", errno));
  return PacketSocket(std::move(fd));
}

Result<> PacketSocket::send(std::uint32_t ifindex, std::uint32_t mark, Bytes packet) {
  auto done = send_marked(fd_.get(), ifindex, mark, packet);
  if (!done) return fail(std::move(done.error()).context("send a packet out of link " + std::to_string(ifindex)));
  return {};
}

Result<> send_routed(const IpAddress& destination, Bytes packet) {
  const bool ipv4 = destination.family == Family::kIpv4;
  // IPPROTO_RAW: the packet brings its header.
  const UniqueFd fd(socket(ipv4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!fd) return fail(Error::system("open raw socket", errno));
  sockaddr_storage to{};
  socklen_t length = 0;
  if (ipv4) {
    auto& address = reinterpret_cast<sockaddr_in&>(to);
    address.sin_family = AF_INET;
    std::memcpy(&address.sin_addr, destination.bytes.data(), sizeof address.sin_addr);
    length = sizeof address;
  } else {
    auto& address = reinterpret_cast<sockaddr_in6&>(to);
    address.sin6_family = AF_INET6;
    std::memcpy(&address.sin6_addr, destination.bytes.data(), sizeof address.sin6_addr);
    length = sizeof address;
  }
  ssize_t sent = 0;
  do {
    sent = sendto(fd.get(), packet.data(), packet.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&to), length);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return fail(Error::system("send to " + destination.text(), errno));
  return {};
}

}  // namespace sheath::netlink
