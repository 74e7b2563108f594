// SPDX-License-Identifier: Apache-2.0
#include "loader/verify/probes.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "loader/netlink/probe.hpp"
#include "loader/state/opt_out.hpp"
#include "maps/types.h"

namespace sheath::verify {
namespace {

constexpr std::array kTraffics{Traffic::kPodToPod, Traffic::kPodToNode, Traffic::kNodeToPod, Traffic::kNodeToNode};
constexpr std::array kFamilies{Family::kIpv4, Family::kIpv6};

std::optional<IpAddress> pod_address(const state::Node& node, Family family) {
  const auto range = std::ranges::find(node.pod_cidrs, family, [](const Cidr& cidr) { return cidr.address.family; });
  if (range == node.pod_cidrs.end()) return std::nullopt;
  return sample_address(*range);
}

std::optional<IpAddress> node_address(const state::Node& node, Family family) {
  const auto found = std::ranges::find(node.node_ips, family, &IpAddress::family);
  if (found == node.node_ips.end()) return std::nullopt;
  return *found;
}

// Why node traffic with this peer may be in plaintext; empty: it may not.
std::string exemption_of(const state::Config& config, const state::Node& own, const state::Node& peer) {
  if (!config.node_encryption) return "node encryption is off";
  if (state::is_opted_out(config, own)) return "this node is opted out";
  if (state::is_opted_out(config, peer)) return peer.name + " is opted out";
  return "";
}

std::optional<Probe> make_probe(Traffic traffic, Family family, const state::Node& own, const state::Node& peer) {
  const bool from_pod = traffic == Traffic::kPodToPod || traffic == Traffic::kPodToNode;
  const bool to_pod = traffic == Traffic::kPodToPod || traffic == Traffic::kNodeToPod;
  const auto source = from_pod ? pod_address(own, family) : node_address(own, family);
  const auto destination = to_pod ? pod_address(peer, family) : node_address(peer, family);
  if (!source || !destination) return std::nullopt;
  return Probe{peer.name, traffic, *source, *destination, true, ""};
}

}  // namespace

std::string_view traffic_name(Traffic traffic) {
  switch (traffic) {
    case Traffic::kPodToPod:
      return "pod to pod";
    case Traffic::kPodToNode:
      return "pod to node";
    case Traffic::kNodeToPod:
      return "node to pod";
    case Traffic::kNodeToNode:
      return "node to node";
  }
  return "";
}

IpAddress sample_address(const Cidr& range) {
  IpAddress address = range.address;
  const std::size_t bits = address.size() * 8;
  for (std::size_t bit = range.length; bit < bits; ++bit) {
    auto& byte = address.bytes[bit / 8];
    byte = static_cast<std::uint8_t>(byte | 0x80u >> (bit % 8));
  }
  // All ones is IPv4's broadcast address; a range of one or two addresses has none.
  if (range.length + 1u < bits) address.bytes[address.size() - 1] &= std::uint8_t{0xfe};
  return address;
}

std::vector<Probe> plan_probes(const state::Config& config, const state::Cluster& cluster) {
  std::vector<Probe> probes;
  const auto own = cluster.find(config.node_name);
  if (own == cluster.end()) return probes;
  for (const auto& [name, peer] : cluster) {
    if (name == config.node_name) continue;
    const auto exemption = exemption_of(config, own->second, peer);
    for (const auto traffic : kTraffics) {
      for (const auto family : kFamilies) {
        auto probe = make_probe(traffic, family, own->second, peer);
        if (!probe) continue;
        if (is_node_traffic(traffic)) probe->exemption = exemption;
        probe->required = probe->exemption.empty();
        // In plaintext, the peer's ICMP error would go to a pod that there may not be, and wander.
        if (!probe->required && traffic == Traffic::kPodToNode) continue;
        probes.push_back(std::move(*probe));
      }
    }
  }
  return probes;
}

Result<RunMark> draw_run_mark() {
  RunMark mark{};
  if (getrandom(mark.data(), mark.size(), 0) != static_cast<ssize_t>(mark.size())) {
    return fail(Error::system("draw random bytes", errno));
  }
  return mark;
}

std::vector<std::uint8_t> probe_packet(const Probe& probe, const RunMark& run, std::uint32_t index) {
  sheath_verify payload{};
  std::memcpy(payload.magic, SHEATH_VERIFY_MAGIC, sizeof payload.magic);
  payload.kind = SHEATH_VERIFY_question;
  static_assert(sizeof payload.marker == sizeof run + sizeof index);
  std::memcpy(payload.marker, run.data(), run.size());
  std::memcpy(payload.marker + run.size(), &index, sizeof index);
  std::array<std::uint8_t, sizeof payload> bytes{};
  std::memcpy(bytes.data(), &payload, sizeof payload);
  return netlink::ip_packet(probe.source, probe.destination, bytes);
}

std::optional<std::uint32_t> find_probe(std::span<const std::uint8_t> bytes, const RunMark& run) {
  const auto found = std::ranges::search(bytes, run);
  const auto behind = static_cast<std::size_t>(found.end() - bytes.begin());
  std::uint32_t index = 0;
  if (found.empty() || behind + sizeof index > bytes.size()) return std::nullopt;
  std::memcpy(&index, bytes.data() + behind, sizeof index);
  return index;
}

}  // namespace sheath::verify
