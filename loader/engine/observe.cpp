// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/observe.hpp"

#include <algorithm>

#include "loader/base/file.hpp"
#include "loader/base/sysctl.hpp"
#include "loader/keys/session_store.hpp"
#include "loader/netlink/addresses.hpp"
#include "loader/netlink/routes.hpp"
#include "loader/netlink/rules.hpp"

namespace sheath::engine {
namespace {

Result<std::optional<TunnelDevice>> read_tunnel(const netlink::Link& link) {
  auto wireguard = netlink::WireGuard::open();
  if (!wireguard) return fail(std::move(wireguard.error()));
  auto device = wireguard->get(link.ifindex);
  if (!device) return fail(std::move(device.error()).context("read " + link.name));
  return TunnelDevice{link, std::move(*device)};
}

// Our device of that name; null when there is none. One that is not ours is noted.
const netlink::Link* find_own(const std::vector<netlink::Link>& links, const std::string& name, std::string_view kind,
                              Observation& out) {
  const auto link = std::ranges::find(links, name, &netlink::Link::name);
  if (link == links.end()) return nullptr;
  if (link->kind == kind && link->alias == kOwnAlias) return &*link;
  out.foreign.push_back(name);
  return nullptr;
}

Result<> observe_tunnel(const std::vector<netlink::Link>& links, Observation& out) {
  const auto* link = find_own(links, plan::kWireguardDevice, "wireguard", out);
  if (link == nullptr) return {};
  auto tunnel = read_tunnel(*link);
  if (!tunnel) return fail(std::move(tunnel.error()));
  out.tunnel = std::move(*tunnel);
  const auto rp_filter = read_sysctl("net/ipv4/conf/" + link->name + "/rp_filter");
  if (!rp_filter) return fail(rp_filter.error());
  for (const auto& peer : out.tunnel->wireguard.peers) {
    if (peer.last_handshake_seconds != 0) out.actual.shaken_hands.insert(keys::PublicKey{peer.public_key});
  }
  out.actual.tunnel = to_tunnel(out.tunnel->link, out.tunnel->wireguard, *rp_filter == "0");
  return {};
}

Result<netlink::XfrmKeyDigest> digest_of(const netlink::XfrmKeys& keys) {
  return keys::digest_of(keys.authentication, keys.encryption);
}

Result<> observe_states(netlink::Xfrm& xfrm, Observation& out) {
  Result<> hashed;
  const auto digest = [&](const netlink::XfrmKeys& keys) {
    const auto value = digest_of(keys);
    if (!value) hashed = fail(value.error());
    return value.value_or(netlink::XfrmKeyDigest{});
  };
  auto states = xfrm.list_states(plan::kXfrmIfId, digest);
  if (!states) return fail(std::move(states.error()));
  for (auto& report : *states) {
    const auto state = from_xfrm(report.state);
    if (!state) continue;
    out.actual.ipsec.states.push_back({*state, report.key_digest, report.sent_sequence});
    out.esp_states.push_back(std::move(report));
  }
  return hashed;
}

Result<> observe_policies(netlink::Xfrm& xfrm, plan::IpsecActual& out) {
  const auto policies = xfrm.list_policies(plan::kXfrmIfId);
  if (!policies) return fail(policies.error());
  const auto is_there = [&](const netlink::XfrmPolicy& wanted) {
    return std::ranges::find(*policies, wanted, &netlink::XfrmPolicyReport::policy) != policies->end();
  };
  out.delivery_policies = std::ranges::all_of(delivery_policies(), is_there);
  for (const auto& report : *policies) {
    if (const auto policy = from_xfrm(report.policy)) out.policies.insert(*policy);
  }
  return {};
}

// A kernel without IPsec has none of it.
Result<> observe_ipsec(const std::vector<netlink::Link>& links, Observation& out) {
  if (const auto* link = find_own(links, plan::kXfrmDevice, "xfrm", out)) {
    out.actual.ipsec.device = plan::XfrmDevice{link->mtu, link->up};
    out.xfrm_ifindex = link->ifindex;
  }
  auto xfrm = netlink::Xfrm::open();
  if (!xfrm) return {};
  if (auto done = observe_states(*xfrm, out); !done) return done;
  return observe_policies(*xfrm, out.actual.ipsec);
}

Result<> observe_overlay(netlink::Socket& socket, const std::vector<netlink::Link>& links, Observation& out) {
  const auto* link = find_own(links, plan::kOverlayDevice, "vxlan", out);
  if (link == nullptr) return {};
  plan::Overlay overlay;
  overlay.mtu = link->mtu;
  overlay.up = link->up;
  const auto addresses = netlink::list_addresses(socket, link->ifindex);
  if (!addresses) return fail(addresses.error());
  for (const auto& entry : *addresses) {
    if (entry.scope == netlink::Scope::kGlobal) overlay.addresses.insert(entry.address);
  }
  const auto routes = netlink::list_routes(socket);
  if (!routes) return fail(routes.error());
  for (const auto& route : *routes) {
    if (route.ifindex == link->ifindex && route.protocol == netlink::kSheathRouteProtocol) {
      overlay.routes[route.destination] = route.source;
    }
  }
  out.actual.overlay = std::move(overlay);
  return {};
}

Result<> observe_detour(netlink::Socket& socket, plan::Detour& out) {
  const auto rules = netlink::list_own_rules(socket);
  if (!rules) return fail(rules.error());
  for (const auto& rule : *rules) {
    if (rule == detour_rule(rule.family)) out.rules.insert(rule.family);
  }
  const auto routes = netlink::list_routes(socket, 0, plan::kDetourTable);
  if (!routes) return fail(routes.error());
  for (const auto& route : *routes) {
    if (route.protocol != netlink::kSheathRouteProtocol || route.destination != Cidr::host(route.destination.address))
      continue;
    out.routes[route.destination.address] = {route.ifindex, route.gateway, route.source};
  }
  return {};
}

// The maps' rows in the planner's words.
template <typename Rows, typename Map, typename Convert>
Result<> take(Result<Rows> rows, Map& into, Convert convert) {
  if (!rows) return fail(std::move(rows.error()));
  for (const auto& [key, value] : *rows) into.emplace_hint(into.end(), key, convert(value));
  return {};
}

Result<> read_maps(const bpf::PinnedMaps& maps, plan::Maps& out) {
  if (auto done = take(maps.node_ips(), out.node_ips, from_owner); !done) return done;
  if (auto done = take(maps.pod_cidrs(), out.pod_cidrs, from_owner); !done) return done;
  if (auto done = take(maps.peers(), out.peers, from_peer); !done) return done;
  if (auto done = take(maps.heard(), out.heard, from_heard); !done) return done;
  return take(maps.endpoints(), out.endpoints, from_endpoint);
}

Result<bool> any_map_pinned(const std::filesystem::path& bpffs) {
  const auto names = bpf::PinnedMaps::names();
  if (!names) return fail(names.error());
  return std::ranges::any_of(*names, [&](const std::string& name) {
    std::error_code ignored;
    return std::filesystem::exists(bpffs / name, ignored);
  });
}

Result<> observe_maps(const std::filesystem::path& bpffs, plan::Actual& actual) {
  auto maps = bpf::PinnedMaps::open(bpffs, bpf::Access::kRead, bpf::Which::kState);
  if (!maps) return fail(std::move(maps.error()));
  if (*maps) {
    actual.pins = (*maps)->complete() ? plan::Pins::kAll : plan::Pins::kState;
    return read_maps(**maps, actual.maps);
  }
  const auto any = any_map_pinned(bpffs);
  if (!any) return fail(any.error());
  if (*any) actual.pins = plan::Pins::kSome;
  return {};
}

Result<> observe_programs(const std::filesystem::path& bpffs, Observation& out) {
  auto attached = bpf::list_attached(bpffs);
  if (!attached) return fail(std::move(attached.error()));
  auto places = bpf::list_places(bpffs);
  if (!places) return fail(std::move(places.error()));

  const TunnelIndexes tunnels{out.tunnel ? out.tunnel->link.ifindex : 0, out.xfrm_ifindex};
  out.attached = std::move(*attached);
  for (const auto& program : out.attached) {
    out.actual.programs[to_attachment(program.place)] = to_settings(program.config, tunnels, out.devices);
  }
  for (const auto& place : *places) {
    if (!out.actual.programs.contains(to_attachment(place))) out.actual.orphans.insert(to_attachment(place));
  }
  return {};
}

Result<> observe_backstop(Observation& out) {
  auto found = netlink::find_backstop();
  if (!found) return fail(std::move(found.error()));
  out.backstop = *found;
  if (*found) out.actual.backstop = (*found)->intact ? (*found)->digest : 0;
  return {};
}

Result<> observe_publication(const std::filesystem::path& path, plan::Actual& actual) {
  if (path.empty()) return {};
  auto content = read_file(path);
  if (content) {
    actual.publication = {path.string(), std::move(*content)};
    return {};
  }
  const int number = content.error().error_number();
  if (number == ENOENT || number == ENOTDIR) return {};
  return fail(std::move(content.error()));
}

}  // namespace

Result<Observation> observe(netlink::Socket& socket, const Places& places) {
  Observation out;
  auto links = netlink::list_links(socket);
  if (!links) return fail(std::move(links.error()));
  out.devices = device_names(*links);
  if (auto done = observe_tunnel(*links, out); !done) return fail(std::move(done.error()));
  if (auto done = observe_ipsec(*links, out); !done) return fail(std::move(done.error()));
  if (auto done = observe_overlay(socket, *links, out); !done) return fail(std::move(done.error()));
  if (auto done = observe_detour(socket, out.actual.detour); !done) return fail(std::move(done.error()));
  out.actual.ipsec.sessions = !keys::SessionStore(places.run).empty();
  if (auto done = observe_maps(places.bpffs, out.actual); !done) return fail(std::move(done.error()));
  if (auto done = observe_programs(places.bpffs, out); !done) return fail(std::move(done.error()));
  if (auto done = observe_backstop(out); !done) return fail(std::move(done.error()));
  if (auto done = observe_publication(places.publication, out.actual); !done) return fail(std::move(done.error()));
  return out;
}

}  // namespace sheath::engine
