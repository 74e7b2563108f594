// SPDX-License-Identifier: Apache-2.0
#include "loader/verify/watch.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "loader/base/unique_fd.hpp"
#include "loader/engine/facts.hpp"
#include "loader/netlink/socket.hpp"
#include "loader/plan/ipsec_model.hpp"
#include "loader/state/opt_out.hpp"
#include "maps/keys.hpp"

namespace sheath::verify {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kPollFor = 200ms;
constexpr auto kRefreshUplinksAfter = 2s;
// Leaks that are told apart; a scan of a whole network is one leak more or less.
constexpr std::size_t kMaxLeaks = 10000;

void add_node(bpf::AuditTables& tables, const state::Node& node, sheath_kind kind, std::uint16_t id) {
  for (const auto& address : node.node_ips) tables.node_ips[address] = {kind, id, 0};
  for (const auto& address : node.router_ips) tables.node_ips[address] = {kind, id, 0};
  for (const auto& cidr : node.pod_cidrs) tables.pod_cidrs[cidr] = {kind, id, 0};
}

// The socket only carries the filter: nothing comes into it.
Result<UniqueFd> attach(int program, std::uint32_t ifindex) {
  UniqueFd fd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::system("open packet socket", errno).hint("needs CAP_NET_RAW"));
  if (setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program) != 0) {
    return fail(Error::system("attach the audit", errno));
  }
  sockaddr_ll device{};
  device.sll_family = AF_PACKET;
  device.sll_protocol = htons(ETH_P_ALL);
  device.sll_ifindex = static_cast<int>(ifindex);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&device), sizeof device) != 0) {
    return fail(Error::system("watch link " + std::to_string(ifindex), errno));
  }
  return fd;
}

// The sockets, one for each uplink that there is.
class Posts {
 public:
  // An uplink that cannot be watched is an error; that there is none right now is not.
  Result<> refresh(const state::Config& config, int program) {
    auto socket = netlink::Socket::open(NETLINK_ROUTE);
    if (!socket) return fail(std::move(socket.error()));
    const auto uplinks = engine::find_uplinks(*socket, config);
    if (!uplinks) return posts_.empty() ? Result<>(fail(uplinks.error())) : Result<>();
    std::map<std::uint32_t, Post> now;
    for (const auto& link : *uplinks) {
      if (auto kept = posts_.extract(link.ifindex)) {
        now.insert(std::move(kept));
        continue;
      }
      auto fd = attach(program, link.ifindex);
      if (!fd && fd.error().error_number() == ENODEV) continue;  // gone again
      if (!fd) return fail(std::move(fd.error()).context(link.name));
      now.emplace(link.ifindex, Post{link.name, std::move(*fd)});
    }
    posts_ = std::move(now);
    return {};
  }

  std::string name(std::uint32_t ifindex) const {
    const auto found = posts_.find(ifindex);
    return found == posts_.end() ? std::to_string(ifindex) : found->second.name;
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [ifindex, post] : posts_) names.push_back(post.name);
    return names;
  }

 private:
  struct Post {
    std::string name;
    UniqueFd fd;
  };
  std::map<std::uint32_t, Post> posts_;
};

}  // namespace

Leak leak_of(const sheath_event& event, const std::string& device) {
  Leak leak{device,
            event.direction == SHEATH_DIRECTION_uplink_egress,
            event.reason == SHEATH_REASON_masqueraded,
            maps::from_key(event.source),
            maps::from_key(event.dest),
            event.protocol,
            event.source_port,
            event.dest_port};
  (leak.source_port < leak.destination_port ? leak.destination_port : leak.source_port) = 0;
  return leak;
}

bpf::AuditTables audit_tables(const state::Config& config, const state::Cluster& cluster) {
  bpf::AuditTables tables;
  for (const auto& range : config.cluster_pod_cidrs) tables.pod_cidrs[range] = {SHEATH_KIND_cluster, 0, 0};
  const auto own = cluster.find(config.node_name);
  const bool encrypts = config.node_encryption && own != cluster.end() && !state::is_opted_out(config, own->second);
  std::uint16_t id = 0;
  for (const auto& [name, node] : cluster) {
    if (name == config.node_name) {
      add_node(tables, node, SHEATH_KIND_local, 0);
      continue;
    }
    id = static_cast<std::uint16_t>(id + 1);
    add_node(tables, node, SHEATH_KIND_remote, id);
    sheath_peer peer{};
    if (encrypts && !state::is_opted_out(config, node)) peer.node_traffic = SHEATH_NODE_TRAFFIC_required;
    tables.peers[id] = peer;
  }
  return tables;
}

Result<WatchReport> watch(const state::Config& config, const state::Cluster& cluster, const std::atomic<bool>& stop,
                          std::optional<std::chrono::seconds> time, const std::function<bool(const Leak&)>& show) {
  sheath_config constants{};
  constants.wireguard_port = config.wireguard.listen_port;
  constants.vxlan_port = plan::kVxlanPort;
  auto audit = bpf::Audit::load(constants, audit_tables(config, cluster));
  if (!audit) return fail(std::move(audit.error()));

  WatchReport report;
  Posts posts;
  bool heard = true;
  const auto note = [&](const sheath_event& event) {
    const auto leak = leak_of(event, posts.name(event.ifindex));
    const auto known = report.leaks.find(leak);
    if (known != report.leaks.end()) {
      known->second += 1;
    } else if (report.leaks.size() < kMaxLeaks) {
      report.leaks.emplace(leak, 1);
      heard = heard && show(leak);
    }
  };
  const auto end = time ? std::optional(Clock::now() + *time) : std::nullopt;
  auto refresh = Clock::now();
  while (heard && !stop && (!end || Clock::now() < *end)) {
    if (Clock::now() >= refresh) {
      if (auto done = posts.refresh(config, audit->program()); !done) return fail(std::move(done.error()));
      refresh = Clock::now() + kRefreshUplinksAfter;
    }
    if (auto waited = audit->wait(kPollFor, note); !waited) return fail(std::move(waited.error()));
  }
  const auto counters = audit->counters();
  if (!counters) return fail(counters.error());
  report.counters = *counters;
  report.devices = posts.names();
  return report;
}

}  // namespace sheath::verify
