// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/observe.hpp"

#include <algorithm>

#include "loader/base/file.hpp"
#include "loader/base/sysctl.hpp"

namespace sheath::engine {
namespace {

Result<std::optional<TunnelDevice>> read_tunnel(const netlink::Link& link) {
  auto wireguard = netlink::WireGuard::open();
  if (!wireguard) return fail(std::move(wireguard.error()));
  auto device = wireguard->get(link.ifindex);
  if (!device) return fail(std::move(device.error()).context("read " + link.name));
  return TunnelDevice{link, std::move(*device)};
}

Result<> observe_tunnel(const std::vector<netlink::Link>& links, Observation& out) {
  const auto link = std::ranges::find(links, plan::kWireguardDevice, &netlink::Link::name);
  if (link == links.end()) return {};
  if (link->kind != "wireguard" || link->alias != kOwnAlias) {
    out.foreign_tunnel = true;
    return {};
  }
  auto tunnel = read_tunnel(*link);
  if (!tunnel) return fail(std::move(tunnel.error()));
  out.tunnel = std::move(*tunnel);
  const auto rp_filter = read_sysctl("net/ipv4/conf/" + link->name + "/rp_filter");
  if (!rp_filter) return fail(rp_filter.error());
  out.actual.tunnel = to_tunnel(out.tunnel->link, out.tunnel->wireguard, *rp_filter == "0");
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
  auto maps = bpf::PinnedMaps::open(bpffs, bpf::Access::kRead);
  if (!maps) return fail(std::move(maps.error()));
  if (*maps) {
    actual.pins = plan::Pins::kAll;
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

  const auto tunnel_ifindex = out.tunnel ? out.tunnel->link.ifindex : 0;
  out.attached = std::move(*attached);
  for (const auto& program : out.attached) {
    out.actual.programs[to_attachment(program.place)] = to_settings(program.config, tunnel_ifindex, out.devices);
  }
  for (const auto& place : *places) {
    if (!out.actual.programs.contains(to_attachment(place))) out.actual.orphans.insert(to_attachment(place));
  }
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

Result<Observation> observe(netlink::Socket& socket, const std::filesystem::path& bpffs,
                            const std::filesystem::path& publication) {
  Observation out;
  auto links = netlink::list_links(socket);
  if (!links) return fail(std::move(links.error()));
  out.devices = device_names(*links);
  if (auto done = observe_tunnel(*links, out); !done) return fail(std::move(done.error()));
  if (auto done = observe_maps(bpffs, out.actual); !done) return fail(std::move(done.error()));
  if (auto done = observe_programs(bpffs, out); !done) return fail(std::move(done.error()));
  if (auto done = observe_publication(publication, out.actual); !done) return fail(std::move(done.error()));
  return out;
}

}  // namespace sheath::engine
