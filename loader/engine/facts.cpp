// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/facts.hpp"

#include "loader/engine/lock.hpp"

#include <linux/if_arp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "loader/base/sysctl.hpp"
#include "loader/bpf/program.hpp"
#include "loader/engine/pods.hpp"
#include "loader/netlink/addresses.hpp"
#include "loader/netlink/nftables.hpp"
#include "loader/netlink/routes.hpp"
#include "maps/names.hpp"

namespace sheath::engine {
namespace {

constexpr std::uint8_t kEthernetHeader = 14;

// Both families' default routes, each device once.
Result<std::vector<netlink::Link>> default_uplinks(netlink::Socket& socket) {
  std::vector<netlink::Link> uplinks;
  for (const auto family : {Family::kIpv4, Family::kIpv6}) {
    const auto ifindex = netlink::default_route_device(socket, family);
    if (!ifindex) return fail(ifindex.error());
    if (!*ifindex || std::ranges::find(uplinks, **ifindex, &netlink::Link::ifindex) != uplinks.end()) continue;
    auto link = netlink::find_link(socket, **ifindex);
    if (!link) return fail(std::move(link.error()));
    if (*link) uplinks.push_back(std::move(**link));
  }
  if (uplinks.empty()) {
    return fail(Error::misuse("devices: not set, and there is no default route to take the uplink from")
                    .hint("set devices: [eth0], or --devices eth0"));
  }
  return uplinks;
}

Result<plan::Uplink> describe_uplink(netlink::Socket& socket, const netlink::Link& link) {
  const auto l2_len = link_header_length(link.hardware_type);
  const bool is_tunnel = link.name == plan::kWireguardDevice || link.name == plan::kXfrmDevice;
  if (is_tunnel || !l2_len) {
    return fail(Error::misuse("devices: " + link.name + " cannot be an uplink: " +
                              (l2_len ? "it is the tunnel device"
                                      : "hardware type " + std::to_string(link.hardware_type) + " is not known")));
  }
  plan::Uplink uplink{link.name, link.mtu, *l2_len, {}, link.ifindex};
  const auto addresses = netlink::list_addresses(socket, link.ifindex);
  if (!addresses) return fail(addresses.error());
  for (const auto& entry : *addresses) {
    if (entry.scope == netlink::Scope::kGlobal && !entry.deprecated) uplink.addresses.push_back(entry.address);
  }
  return uplink;
}

Result<> add_uplinks(netlink::Socket& socket, const state::Config& config, plan::Facts& facts) {
  const auto links = find_uplinks(socket, config);
  if (!links) return fail(links.error());
  for (const auto& link : *links) {
    auto uplink = describe_uplink(socket, link);
    if (!uplink) return fail(std::move(uplink.error()));
    facts.uplinks.push_back(std::move(*uplink));
  }
  return {};
}

// Kinds of devices that put a packet into another (ip-link(8)). Not WireGuard, vti and xfrm, which encrypt it, nor
// erspan, which carries copies for monitoring.
constexpr std::array<std::string_view, 10> kOverlayKinds{"vxlan", "geneve", "bareudp", "ipip",   "sit",
                                                         "gre",   "gretap", "ip6tnl",  "ip6gre", "ip6gretap"};

Result<> add_overlays(netlink::Socket& socket, const state::Config& config, plan::Facts& facts) {
  const auto links = find_overlays(socket, config);
  if (!links) return fail(links.error());
  for (const auto& link : *links) {
    const auto l2_len = link_header_length(link.hardware_type);
    if (!l2_len) return fail(link.name + ": hardware type " + std::to_string(link.hardware_type) + " is not known");
    facts.overlays.push_back({link.name, link.ifindex, *l2_len, link.up});
  }
  return {};
}

void add_builds(plan::Facts& facts) {
  for (const auto& direction : maps::directions())
    facts.builds[direction.direction] = bpf::build_id(direction.direction);
}

Result<> add_nf_tables(plan::Facts& facts) {
  const auto found = netlink::has_nf_tables();
  if (!found) return fail(found.error());
  facts.has_nf_tables = *found;
  return {};
}

Result<> add_rp_filter(plan::Facts& facts) {
  const auto text = read_sysctl("net/ipv4/conf/all/rp_filter");
  if (!text) return fail(text.error());
  std::from_chars(text->data(), text->data() + text->size(), facts.all_rp_filter);
  return {};
}

// Router IPs that another device has need not be given to ours.
Result<> add_local_addresses(netlink::Socket& socket, plan::Facts& facts) {
  const auto overlay = netlink::find_link(socket, plan::kOverlayDevice);
  if (!overlay) return fail(overlay.error());
  const auto addresses = netlink::list_addresses(socket);
  if (!addresses) return fail(addresses.error());
  for (const auto& entry : *addresses) {
    if (!*overlay || entry.ifindex != (*overlay)->ifindex) facts.local_addresses.insert(entry.address);
  }
  return {};
}

Result<> add_pods(netlink::Socket& socket, const state::Config& config, GatheredFacts& out) {
  const auto links = netlink::list_links(socket);
  if (!links) return fail(links.error());
  auto found = discover_pods(socket, *links, config.pod_devices);
  if (!found) return fail(std::move(found.error()));
  if (!config.fast_path_force) {
    const auto findings = netlink::list_forward_filters();
    if (!findings) return fail(Error(findings.error()).context("fastPath: look for netfilter rules"));
    std::vector<std::string> devices;
    for (const auto& [address, pod] : found->pods) devices.push_back(pod.device);
    if (auto checked = check_fast_path(*findings, devices); !checked) return checked;
  }
  out.warnings = std::move(found->warnings);
  if (found->pods.empty()) out.warnings.emplace_back("fastPath: no pod device found: all pods go through the stack");
  out.facts.pods = std::move(found->pods);
  return {};
}

}  // namespace

std::optional<std::uint8_t> link_header_length(std::uint16_t hardware_type) {
  switch (hardware_type) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
      return kEthernetHeader;
    case ARPHRD_NONE:
    case ARPHRD_PPP:
    case ARPHRD_RAWIP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE:
    case ARPHRD_IP6GRE:
      return 0;
    default:
      return std::nullopt;
  }
}

Result<std::vector<netlink::Link>> find_uplinks(netlink::Socket& socket, const state::Config& config) {
  if (config.devices.empty()) return default_uplinks(socket);
  std::vector<netlink::Link> uplinks;
  for (const auto& name : config.devices) {
    auto link = netlink::find_link(socket, name);
    if (!link) return fail(std::move(link.error()));
    if (!*link) {
      return fail(Error::misuse("devices: there is no device " + name).hint("`ip link` lists the devices there are"));
    }
    uplinks.push_back(std::move(**link));
  }
  return uplinks;
}

Result<std::vector<netlink::Link>> find_overlays(netlink::Socket& socket, const state::Config& config) {
  const auto uplinks = find_uplinks(socket, config);
  if (!uplinks) return fail(uplinks.error());
  auto links = netlink::list_links(socket);
  if (!links) return fail(std::move(links.error()));
  std::erase_if(*links, [&](const netlink::Link& link) {
    return !std::ranges::count(kOverlayKinds, link.kind) || link.alias == kOwnAlias ||
           std::ranges::count(*uplinks, link.ifindex, &netlink::Link::ifindex);
  });
  return links;
}

Result<> check_fast_path(const std::vector<netlink::FilterFinding>& findings,
                         const std::vector<std::string>& pod_devices) {
  const auto is_pod = [&](const std::string& name) {
    return std::ranges::find(pod_devices, name) != pod_devices.end();
  };
  std::string texts;
  for (const auto& finding : findings) {
    if (!finding.devices.empty() && std::ranges::none_of(finding.devices, is_pod)) continue;
    texts += (texts.empty() ? "" : "; ") + finding.text();
  }
  if (texts.empty()) return {};
  return fail(Error::misuse("fastPath: refused, pods' packets would bypass netfilter: " + texts)
                  .hint("set fastPath: false; or fastPathForce: true if none of these rules matters to pods"));
}

Result<std::vector<plan::MainRoute>> main_routes(netlink::Socket& socket) {
  const auto routes = netlink::list_routes(socket);
  if (!routes) return fail(routes.error());
  std::vector<plan::MainRoute> out;
  for (const auto& route : *routes) {
    if (route.ifindex == 0 || route.protocol == netlink::kSheathRouteProtocol) continue;
    out.push_back({route.destination, route.metric, {route.ifindex, route.gateway, route.source}});
  }
  return out;
}

Result<GatheredFacts> gather_facts(netlink::Socket& socket, const state::Config& config) {
  GatheredFacts out;
  if (auto done = add_uplinks(socket, config, out.facts); !done) return fail(std::move(done.error()));
  if (auto done = add_overlays(socket, config, out.facts); !done) return fail(std::move(done.error()));
  add_builds(out.facts);
  if (auto done = add_rp_filter(out.facts); !done) return fail(std::move(done.error()));
  if (auto done = add_nf_tables(out.facts); !done) return fail(std::move(done.error()));
  if (auto done = add_local_addresses(socket, out.facts); !done) return fail(std::move(done.error()));
  out.facts.trace = ProcessLock::look(config.paths.run, kTraceLock).state == ProcessLock::State::kRuns;
  if (config.fast_path) {
    if (auto done = add_pods(socket, config, out); !done) return fail(std::move(done.error()));
  }
  return out;
}

}  // namespace sheath::engine
