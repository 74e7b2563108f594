// SPDX-License-Identifier: Apache-2.0
#include "loader/verify/run.hpp"

#include <linux/netlink.h>

#include <algorithm>
#include <map>
#include <string>

#include "loader/engine/status.hpp"
#include "loader/netlink/links.hpp"
#include "loader/netlink/probe.hpp"
#include "loader/netlink/socket.hpp"
#include "loader/plan/ipsec_model.hpp"
#include "loader/plan/model.hpp"
#include "loader/verify/explain.hpp"
#include "loader/verify/sighting.hpp"
#include "loader/verify/tap.hpp"

namespace sheath::verify {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kResendAfter = 1s;
constexpr auto kLook = 20ms;
// Probes sent between two looks: what answers them stays far below the tap's room.
constexpr std::size_t kBurst = 256;

struct Device {
  std::string name;
  bool tunnel = false;
};

Result<std::map<std::uint32_t, Device>> list_devices() {
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  if (!socket) return fail(std::move(socket.error()));
  const auto links = netlink::list_links(*socket);
  if (!links) return fail(links.error());
  std::map<std::uint32_t, Device> devices;
  for (const auto& link : *links) {
    devices[link.ifindex] = {link.name, link.name == plan::kWireguardDevice || link.name == plan::kXfrmDevice};
  }
  return devices;
}

// Probes and what has been seen of them.
class Watch {
 public:
  Watch(const state::Config& config, const state::Cluster& cluster, std::vector<Probe> probes, RunMark mark,
        std::map<std::uint32_t, Device> devices)
      : ports_{config.wireguard.listen_port, plan::kVxlanPort},
        probes_(std::move(probes)),
        seen_(probes_.size()),
        mark_(mark),
        devices_(std::move(devices)) {
    for (std::size_t i = 0; i < probes_.size(); ++i) {
      const auto peer = cluster.find(probes_[i].peer);
      if (peer == cluster.end()) continue;
      for (const auto& address : peer->second.node_ips) towards_[address].push_back(i);
    }
  }

  Result<> run(Tap& tap, std::chrono::milliseconds timeout) {
    const auto end = Clock::now() + timeout;
    while (!settled() && Clock::now() < end) {
      const auto resend = std::min(Clock::now() + kResendAfter, end);
      if (auto sent = send_open(tap); !sent) return sent;
      while (!settled() && Clock::now() < resend) {
        if (auto looked = look(tap, kLook); !looked) return looked;
      }
    }
    return {};
  }

  const std::vector<Probe>& probes() const { return probes_; }
  const std::vector<Sightings>& seen() const { return seen_; }

 private:
  bool is_open(std::size_t index) const { return judge(seen_[index]) == Verdict::kUnreachable; }

  bool settled() const {
    for (std::size_t i = 0; i < probes_.size(); ++i) {
      if (is_open(i)) return false;
    }
    return true;
  }

  Result<> send_open(Tap& tap) {
    for (std::size_t i = 0; i < probes_.size(); ++i) {
      if (!is_open(i)) continue;
      const auto packet = probe_packet(probes_[i], mark_, static_cast<std::uint32_t>(i));
      const auto sent = netlink::send_routed(probes_[i].destination, packet);
      seen_[i].sent += 1;
      seen_[i].send_error = sent ? "" : sent.error().what();
      if ((i + 1) % kBurst != 0) continue;
      if (auto looked = look(tap, 1ms); !looked) return looked;
    }
    return {};
  }

  Result<> look(Tap& tap, std::chrono::milliseconds time) {
    return tap.watch(time, [this](const Frame& frame) { note(frame); });
  }

  void note(const Frame& frame) {
    const auto device = devices_.find(frame.ifindex);
    const bool tunnel = device != devices_.end() && device->second.tunnel;
    const auto probe = find_probe(frame.packet, mark_);
    if (probe && *probe < seen_.size()) return note_probe(frame, *probe, tunnel);
    if (frame.outgoing && !tunnel) note_outer(frame);
  }

  void note_probe(const Frame& frame, std::size_t index, bool tunnel) {
    auto& seen = seen_[index];
    const auto ends = read_ends(frame.packet);
    const bool whole = ends && ends->protocol == netlink::kProbeProtocol;  // not quoted, nor in an encapsulation
    if (tunnel) {
      seen.entered_tunnel = seen.entered_tunnel || frame.outgoing;
      seen.answered = seen.answered || (!frame.outgoing && whole && ends->source == probes_[index].destination);
      return;
    }
    // An ICMP error that quotes the probe, on its way to the pod that did not send it.
    if (ends && ends->destination == probes_[index].source) return;
    if (!frame.outgoing || seen.in_clear) return;
    const auto device = devices_.find(frame.ifindex);
    seen.in_clear = {device == devices_.end() ? std::to_string(frame.ifindex) : device->second.name, std::nullopt};
    if (whole) seen.in_clear->source = ends->source;
  }

  void note_outer(const Frame& frame) {
    const auto outer = read_outer(frame.packet, ports_);
    if (!outer) return;
    const auto probes = towards_.find(outer->destination);
    if (probes == towards_.end()) return;
    for (const auto index : probes->second) {
      if (seen_[index].sent > 0 && !seen_[index].answered) seen_[index].outer = outer->kind;
    }
  }

  OuterPorts ports_;
  std::vector<Probe> probes_;
  std::vector<Sightings> seen_;
  RunMark mark_;
  std::map<std::uint32_t, Device> devices_;
  std::map<IpAddress, std::vector<std::size_t>> towards_;  // probes to the peer with that node IP
};

Result<> check_losses(Tap& tap) {
  const auto lost = tap.lost();
  if (!lost) return fail(lost.error());
  if (*lost == 0) return {};
  return fail(Error(std::to_string(*lost) + " packets passed unseen: nothing is proven")
                  .hint("this node sends more than one can look at; try again when it is less busy"));
}

}  // namespace

Result<std::vector<Finding>> verify(const state::Config& config, const state::Cluster& cluster,
                                    std::vector<Probe> probes, std::chrono::milliseconds timeout) {
  auto devices = list_devices();
  if (!devices) return fail(devices.error());
  const auto mark = draw_run_mark();
  if (!mark) return fail(mark.error());
  auto tap = Tap::open();
  if (!tap) return fail(std::move(tap.error()));
  Watch watch(config, cluster, std::move(probes), *mark, std::move(*devices));
  if (auto done = watch.run(*tap, timeout); !done) return fail(std::move(done.error()));
  if (auto all = check_losses(*tap); !all) return fail(std::move(all.error()));
  // Afterwards, so that a handshake or a repair that this very traffic brought about counts.
  const auto status = engine::observe_status(config);
  if (!status) return fail(status.error());

  std::vector<Finding> findings;
  for (std::size_t i = 0; i < watch.probes().size(); ++i) {
    const auto& seen = watch.seen()[i];
    findings.push_back({watch.probes()[i], judge(seen), seen, explain(watch.probes()[i], seen, *status)});
  }
  return findings;
}

}  // namespace sheath::verify
