// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/pods.hpp"

#include <fnmatch.h>

#include <algorithm>

namespace sheath::engine {
namespace {

bool is_pod_device(const netlink::Link& link, const std::vector<std::string>& globs) {
  if (globs.empty()) return link.kind == "veth";
  return std::ranges::any_of(globs,
                             [&](const std::string& glob) { return fnmatch(glob.c_str(), link.name.c_str(), 0) == 0; });
}

std::optional<netlink::MacAddress> neighbour_mac(const std::vector<netlink::Neighbour>& neighbours,
                                                 std::uint32_t ifindex, const IpAddress& address) {
  for (const auto& neighbour : neighbours) {
    if (neighbour.ifindex == ifindex && neighbour.address == address && neighbour.valid()) return neighbour.mac;
  }
  return std::nullopt;
}

}  // namespace

std::map<IpAddress, netlink::Link> pod_routes(const std::vector<netlink::Link>& links,
                                              const std::vector<netlink::Route>& routes,
                                              const std::vector<std::string>& globs) {
  std::map<std::uint32_t, const netlink::Link*> devices;
  for (const auto& link : links) {
    if (is_pod_device(link, globs)) devices.emplace(link.ifindex, &link);
  }
  std::map<IpAddress, netlink::Link> out;
  for (const auto& route : routes) {
    if (route.destination.length != route.destination.address.size() * 8 || route.gateway) continue;
    const auto device = devices.find(route.ifindex);
    if (device != devices.end()) out.emplace(route.destination.address, *device->second);
  }
  return out;
}

Result<PodDiscovery> discover_pods(netlink::Socket& socket, const std::vector<netlink::Link>& links,
                                   const std::vector<std::string>& globs) {
  const auto routes = netlink::list_routes(socket);
  if (!routes) return fail(routes.error());
  const auto neighbours = netlink::list_neighbours(socket);
  if (!neighbours) return fail(neighbours.error());

  PodDiscovery out;
  for (const auto& [address, link] : pod_routes(links, *routes, globs)) {
    auto mac = netlink::peer_mac(socket, link);
    if (!mac) return fail(std::move(mac.error()).context("read the other end of " + link.name));
    if (!*mac) *mac = neighbour_mac(*neighbours, link.ifindex, address);
    if (!*mac || !link.mac) {
      out.warnings.push_back("fastPath: the MAC address of pod " + address.text() + " on " + link.name +
                             " is not known: it is reached through the stack");
      continue;
    }
    out.pods[address] = {link.name, {link.ifindex, **mac, *link.mac}};
  }
  return out;
}

}  // namespace sheath::engine
