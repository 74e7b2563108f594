// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "loader/netlink/probe.hpp"
#include "loader/netlink/routes.hpp"
#include "loader/netlink/tunnel_links.hpp"
#include "loader/netlink/xfrm.hpp"
#include "loader/netlink/xfrm_stat.hpp"
#include "sandbox.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

constexpr std::uint32_t kIfId = 1;
constexpr XfrmMark kTransmitMark{0x23e00, 0xffffff00};

template <typename T>
void require(const Result<T>& result) {
  REQUIRE_MESSAGE(result, (result ? "" : result.error().what()));
}

std::vector<std::uint8_t> made_up_key(std::size_t size, std::uint8_t first) {
  std::vector<std::uint8_t> out(size);
  std::iota(out.begin(), out.end(), first);
  return out;
}

// The first bytes of the key: it is no secret here.
XfrmKeyDigest first_bytes(const XfrmKeys& keys) {
  XfrmKeyDigest out{};
  std::copy_n(keys.encryption.begin(), std::min(out.size(), keys.encryption.size()), out.begin());
  return out;
}

struct Way {
  IpAddress source;
  IpAddress destination;
};

// Both ends of one direction: the same SPI, key and window; each has marks of its own.
XfrmState state(const Way& outer, std::uint32_t spi) {
  XfrmState out;
  out.source = outer.source;
  out.destination = outer.destination;
  out.spi = spi;
  out.reqid = 1;
  out.if_id = kIfId;
  out.replay_window = 1024;
  out.esn = out.af_unspec = true;
  out.algorithms = {"rfc4106(gcm(aes))", "", "", 128};
  return out;
}

XfrmState transmit_state(const Way& outer, std::uint32_t spi) {
  XfrmState out = state(outer, spi);
  out.mark = kTransmitMark;
  out.output_mark = XfrmMark{0xe00, 0xffffffff};
  return out;
}

XfrmState receive_state(const Way& outer, std::uint32_t spi) {
  XfrmState out = state(outer, spi);
  out.output_mark = XfrmMark{0x23d00, 0xffffffff};
  return out;
}

XfrmPolicy transmit_policy(const char* source, const char* destination, const Way& outer, std::uint32_t spi) {
  XfrmPolicy out;
  out.source = *Cidr::parse(source);
  out.destination = *Cidr::parse(destination);
  out.priority = 100;
  out.if_id = kIfId;
  out.mark = kTransmitMark;
  out.encryption = XfrmTemplate{outer.source, outer.destination, spi, 1, false};
  return out;
}

XfrmPolicy receive_policy(const char* everything, XfrmDirection direction) {
  XfrmPolicy out;
  out.source = out.destination = *Cidr::parse(everything);
  out.direction = direction;
  out.if_id = kIfId;
  out.encryption = XfrmTemplate{{}, {}, 0, 1, true};
  return out;
}

// A namespace with an xfrm device; on a kernel that has none the case is skipped by name.
struct Node : Sandbox {
  std::uint32_t tunnel = 0;
  std::optional<Xfrm> xfrm;

  bool make(const std::string& name) {
    const auto made = create_link(route(), xfrm_link("cilium_xfrm0", kIfId));
    auto opened = Xfrm::open();
    if (!made || !opened) {
      if (!made) CHECK(made.error().hint().find("CONFIG_XFRM_INTERFACE") != std::string::npos);
      if (!opened) CHECK(opened.error().hint().find("CONFIG_XFRM_USER") != std::string::npos);
      skip(name, "this kernel has no xfrm devices");
      return false;
    }
    tunnel = *made;
    xfrm.emplace(std::move(*opened));
    require(set_link_up(route(), tunnel, true));
    wait_until_running(tunnel);
    return true;
  }

  void add(const XfrmState& added, std::uint8_t first_key_byte) {
    const auto key = made_up_key(20, first_key_byte);
    require(xfrm->add_state(added, {key, {}}));
  }

  std::vector<XfrmStateReport> states(std::uint32_t if_id = kIfId) {
    auto listed = xfrm->list_states(if_id, first_bytes);
    require(listed);
    return *listed;
  }

  XfrmStateReport state_of(std::uint32_t spi) {
    const auto all = states();
    const auto found = std::ranges::find(all, spi, [](const XfrmStateReport& one) { return one.state.spi; });
    REQUIRE(found != all.end());
    return *found;
  }

  std::vector<XfrmPolicyReport> policies(std::uint32_t if_id = kIfId) {
    auto listed = xfrm->list_policies(if_id);
    require(listed);
    return *listed;
  }

  std::optional<XfrmPolicyReport> find(const XfrmPolicy& policy) {
    const auto all = policies();
    const auto found = std::ranges::find(all, policy, &XfrmPolicyReport::policy);
    return found == all.end() ? std::nullopt : std::optional(*found);
  }
};

// Sets both ends of a veth up, and returns when packets pass.
void join(Sandbox& near, const Link& near_end, Sandbox& far, const Link& far_end) {
  require(set_link_up(near.route(), near_end.ifindex, true));
  require(set_link_up(far.route(), far_end.ifindex, true));
  near.wait_until_running(near_end.ifindex);
  far.wait_until_running(far_end.ifindex);
}

// What comes out of a device: the packet behind its Ethernet header or without one, and its mark.
struct Arrived {
  std::vector<std::uint8_t> packet;
  std::uint32_t mark = 0;
};

// Listens to a device in the namespace that one is in, until it goes.
class Listener {
 public:
  explicit Listener(std::uint32_t ifindex) : fd_(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
    REQUIRE(fd_);
    sockaddr_ll device{};
    device.sll_family = AF_PACKET;
    device.sll_protocol = htons(ETH_P_ALL);
    device.sll_ifindex = static_cast<int>(ifindex);
    REQUIRE(bind(fd_.get(), reinterpret_cast<sockaddr*>(&device), sizeof device) == 0);
    const timeval patience{10, 0};
    const int on = 1;
    REQUIRE(setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    REQUIRE(setsockopt(fd_.get(), SOL_SOCKET, SO_RCVMARK, &on, sizeof on) == 0);
  }

  // The next packet that ends with those bytes; nullopt when none comes.
  std::optional<Arrived> wait_for(const std::vector<std::uint8_t>& end) {
    while (auto arrived = next()) {
      auto& packet = arrived->packet;
      if (packet.size() >= end.size() && std::equal(end.rbegin(), end.rend(), packet.rbegin())) return arrived;
    }
    return std::nullopt;
  }

 private:
  std::optional<Arrived> next() {
    Arrived out;
    out.packet.resize(2048);
    alignas(cmsghdr) char control[256];
    iovec part{out.packet.data(), out.packet.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t count = recvmsg(fd_.get(), &message, 0);
    if (count < 0) return std::nullopt;
    out.packet.resize(static_cast<std::size_t>(count));
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
      if (one->cmsg_level == SOL_SOCKET && one->cmsg_type == SO_MARK) std::memcpy(&out.mark, CMSG_DATA(one), 4);
    }
    return out;
  }

  UniqueFd fd_;
};

Result<> send_once(std::uint32_t ifindex, std::uint32_t mark, Bytes packet) {
  auto socket = PacketSocket::open();
  if (!socket) return fail(std::move(socket.error()));
  return socket->send(ifindex, mark, packet);
}

}  // namespace

TEST_CASE("live xfrm: the devices say what they were made with") {
  Node node;
  if (!node.make("live xfrm: devices")) return;
  const auto xfrm = **find_link(node.route(), node.tunnel);
  CHECK(xfrm.kind == "xfrm");
  CHECK(xfrm.hardware_type == ARPHRD_NONE);
  CHECK(xfrm.xfrm_if_id == kIfId);
  CHECK(create_link(node.route(), xfrm_link("cilium_xfrm1", kIfId)).error().error_number() == EEXIST);
  CHECK(create_link(node.route(), xfrm_link("cilium_xfrm1", 0)).error().error_number() == EINVAL);

  const auto made = create_link(node.route(), vxlan_link("cilium_vxlan"));
  require(made);
  require(set_link_up(node.route(), *made, true));
  const auto vxlan = **find_link(node.route(), *made);
  CHECK(vxlan.kind == "vxlan");
  CHECK(vxlan.vxlan == Vxlan{8472, true});
}

TEST_CASE("live xfrm: states read back as they were added, of both families and kinds of algorithm") {
  Node node;
  if (!node.make("live xfrm: states")) return;
  const Way v4{ip("172.18.0.4"), ip("172.18.0.5")}, v6{ip("fd00::5"), ip("fd00::4")};
  const auto transmit = transmit_state(v4, 0xabc0123), receive = receive_state(v6, 0x8bc0123);
  node.add(transmit, 1);
  node.add(receive, 2);
  auto cbc = state(v4, 0xabc0124);
  cbc.algorithms = {"", "hmac(sha256)", "cbc(aes)", 128};
  cbc.esn = false;
  cbc.replay_window = 32;
  cbc.if_id = 7;
  const auto authentication_key = made_up_key(32, 3), encryption_key = made_up_key(16, 4);
  require(node.xfrm->add_state(cbc, {encryption_key, authentication_key}));

  CHECK(node.states().size() == 2);
  CHECK(node.states(0).size() == 3);
  for (const XfrmState& added : {transmit, receive}) {
    const auto report = node.state_of(added.spi);
    CHECK(report.state == added);
    CHECK_FALSE(report.unusual);
    CHECK_FALSE(report.keys_hidden);
    CHECK(report.key_digest == first_bytes({made_up_key(20, added == transmit ? 1 : 2), {}}));
    CHECK(report.packets == 0);
    CHECK(report.add_time > 1000000000);
    CHECK(report.use_time == 0);
  }
  const auto others = node.states(7);
  REQUIRE(others.size() == 1);
  CHECK(others.front().state == cbc);
  CHECK_FALSE(others.front().unusual);
}

TEST_CASE("live xfrm: a state that exists and one that is gone; a mark is part of its name") {
  Node node;
  if (!node.make("live xfrm: state errors")) return;
  const auto transmit = transmit_state({ip("172.18.0.4"), ip("172.18.0.5")}, 0xabc0123);
  const auto key = made_up_key(20, 1);
  node.add(transmit, 1);
  const auto twice = node.xfrm->add_state(transmit, {key, {}}).error();
  CHECK(twice.error_number() == EEXIST);
  CHECK(twice.what().find("add state 172.18.0.4 to 172.18.0.5, SPI 0x0abc0123: ") == 0);
  auto other_mark = transmit;
  other_mark.mark = XfrmMark{0x33e00, 0xffffff00};
  node.add(other_mark, 1);

  require(node.xfrm->delete_state(transmit));
  REQUIRE(node.states().size() == 1);
  CHECK(node.states().front().state == other_mark);
  CHECK(node.xfrm->delete_state(transmit).error().error_number() == ESRCH);
  auto unmarked = other_mark;
  unmarked.mark = std::nullopt;
  CHECK(node.xfrm->delete_state(unmarked).error().error_number() == ESRCH);
  require(node.xfrm->delete_state(other_mark));
  CHECK(node.states().empty());
}

TEST_CASE("live xfrm: an algorithm that the kernel has not is named") {
  Node node;
  if (!node.make("live xfrm: algorithms")) return;
  auto odd = transmit_state({ip("172.18.0.4"), ip("172.18.0.5")}, 0xabc0123);
  odd.algorithms.aead = "rfc4106(gcm(no-such))";
  const auto key = made_up_key(20, 1), long_key = made_up_key(21, 1);
  const auto unknown = node.xfrm->add_state(odd, {key, {}}).error();
  CHECK(unknown.error_number() == ENOSYS);
  CHECK(unknown.what().find("AEAD algorithm not found") != std::string::npos);
  CHECK(unknown.hint().find("rfc4106(gcm(no-such))") != std::string::npos);
  odd.algorithms.aead = "rfc4106(gcm(aes))";
  const auto wrong_key = node.xfrm->add_state(odd, {long_key, {}}).error();
  CHECK(wrong_key.error_number() == EINVAL);
  CHECK(wrong_key.hint().empty());
  CHECK(node.states().empty());
}

TEST_CASE("live xfrm: policies read back as they were added; an update keeps the place of the old one") {
  Node node;
  if (!node.make("live xfrm: policies")) return;
  const Way outer{ip("172.18.0.4"), ip("172.18.0.5")};
  const auto v4 = transmit_policy("10.244.1.0/24", "10.244.2.0/24", outer, 0xabc0123);
  const auto v6 = transmit_policy("fd00:10:1::/64", "fd00:10:2::/64", outer, 0xabc0123);
  const std::vector<XfrmPolicy> all{v4,
                                    v6,
                                    receive_policy("0.0.0.0/0", XfrmDirection::kIn),
                                    receive_policy("0.0.0.0/0", XfrmDirection::kForward),
                                    receive_policy("::/0", XfrmDirection::kIn),
                                    receive_policy("::/0", XfrmDirection::kForward)};
  for (const XfrmPolicy& policy : all) require(node.xfrm->add_policy(policy));
  CHECK(node.policies().size() == all.size());
  for (const XfrmPolicy& policy : all) {
    const auto report = node.find(policy);
    REQUIRE(report);
    CHECK_FALSE(report->unusual);
  }
  CHECK(node.policies(kIfId + 1).empty());
  CHECK(node.policies(0).size() == all.size());
  CHECK(node.xfrm->add_policy(v4).error().error_number() == EEXIST);

  const auto index = node.find(v4)->index;
  auto changed = v4;
  changed.encryption->spi = 0xabc0124;
  changed.priority = 50;
  require(node.xfrm->update_policy(changed));
  CHECK_FALSE(node.find(v4).has_value());
  REQUIRE(node.find(changed));
  CHECK(node.find(changed)->index == index);
  CHECK(node.policies().size() == all.size());

  auto other_mark = v4;
  other_mark.mark = XfrmMark{0x24e00, 0xffffff00};
  require(node.xfrm->update_policy(other_mark));
  CHECK(node.policies().size() == all.size() + 1);
  require(node.xfrm->delete_policy(v4));
  CHECK_FALSE(node.find(changed).has_value());
  CHECK(node.find(other_mark).has_value());
  const auto gone = node.xfrm->delete_policy(v4).error();
  CHECK(gone.error_number() == ENOENT);
  CHECK(gone.what().find("delete policy out 10.244.1.0/24 to 10.244.2.0/24: ") == 0);
}

// The near namespace, which the thread is in, and the far one, joined by eth0 and far0:
//
//   near: probe ─▶ cilium_xfrm0 ─▶ ESP ─▶ eth0 172.18.0.4 ═ far0 172.18.0.5 ─▶ ESP ─▶ cilium_xfrm0 ─▶ listener
TEST_CASE("live xfrm: a probe goes through ESP to another namespace, carries its marks, and is counted") {
  Node far;
  if (!far.make("live xfrm: a probe")) return;
  const UniqueFd far_namespace = current_namespace();
  Listener listener(far.tunnel);
  Node near;
  REQUIRE(near.make("live xfrm: a probe"));
  const Link eth0 = near.add_veth("eth0", "far0", far_namespace.get());
  const Link far0 = **find_link(far.route(), "far0");
  const Way outer4{ip("172.18.0.4"), ip("172.18.0.5")}, outer6{ip("fd00::4"), ip("fd00::5")};
  for (const Way& outer : {outer4, outer6}) {
    const Cidr network = *Cidr::parse(outer.source.family == Family::kIpv4 ? "172.18.0.0/24" : "fd00::/64");
    near.add_address(eth0.ifindex, network, outer.source);
    far.add_address(far0.ifindex, network, outer.destination);
  }
  join(near, eth0, far, far0);
  for (const Way& outer : {outer4, outer6}) near.add_neighbour(eth0.ifindex, outer.destination, *far0.mac);

  // Pods of both families over IPv4, and IPv6 over IPv6; IPv6 wants a route by the device.
  near.add(transmit_state(outer4, 0xabc0123), 1);
  far.add(receive_state(outer4, 0xabc0123), 1);
  near.add(transmit_state(outer6, 0xabc0133), 2);
  far.add(receive_state(outer6, 0xabc0133), 2);
  require(near.xfrm->add_policy(transmit_policy("10.244.1.0/24", "10.244.2.0/24", outer4, 0xabc0123)));
  require(near.xfrm->add_policy(transmit_policy("fd00:1::/64", "fd00:2::/64", outer4, 0xabc0123)));
  require(near.xfrm->add_policy(transmit_policy("fd00:3::/64", "fd00:4::/64", outer6, 0xabc0133)));
  for (const char* destination : {"fd00:2::/64", "fd00:4::/64"}) {
    NewRoute route;
    route.destination = *Cidr::parse(destination);
    route.ifindex = near.tunnel;
    require(add_route(near.route(), route));
  }

  const Way inner[] = {
      {ip("10.244.1.9"), ip("10.244.2.9")}, {ip("fd00:1::9"), ip("fd00:2::9")}, {ip("fd00:3::9"), ip("fd00:4::9")}};
  std::uint8_t generation = 0;
  for (const auto& [source, destination] : inner) {
    CAPTURE(source.text());
    const auto packet = probe_packet(source, destination, ++generation);
    require(send_once(near.tunnel, kTransmitMark.value, packet));
    const auto arrived = listener.wait_for(packet);
    REQUIRE(arrived);
    CHECK(arrived->mark == 0x23d00);
  }
  CHECK(near.state_of(0xabc0123).sent_sequence == 2);
  CHECK(near.state_of(0xabc0123).packets == 2);
  CHECK(far.state_of(0xabc0123).received_sequence == 2);
  CHECK(far.state_of(0xabc0123).use_time >= far.state_of(0xabc0123).add_time);
  CHECK(far.state_of(0xabc0133).received_sequence == 1);
  CHECK(read_xfrm_stat()->at("XfrmOutNoStates") == 0);
}

TEST_CASE("live xfrm: what has no policy or the wrong key does not arrive, and is counted") {
  Node far;
  if (!far.make("live xfrm: refused")) return;
  const UniqueFd far_namespace = current_namespace();
  Node near;
  REQUIRE(near.make("live xfrm: refused"));
  const Link eth0 = near.add_veth("eth0", "far0", far_namespace.get());
  const Link far0 = **find_link(far.route(), "far0");
  const Way outer{ip("172.18.0.4"), ip("172.18.0.5")};
  near.add_address(eth0.ifindex, *Cidr::parse("172.18.0.0/24"), outer.source);
  far.add_address(far0.ifindex, *Cidr::parse("172.18.0.0/24"), outer.destination);
  join(near, eth0, far, far0);
  near.add_neighbour(eth0.ifindex, outer.destination, *far0.mac);
  near.add(transmit_state(outer, 0xabc0123), 1);
  far.add(receive_state(outer, 0xabc0123), 2);
  require(near.xfrm->add_policy(transmit_policy("10.244.1.0/24", "10.244.2.0/24", outer, 0xabc0123)));

  // The mark of another generation has no policy here.
  require(send_once(near.tunnel, 0x24e00, probe_packet(ip("10.244.1.9"), ip("10.244.2.9"), 1)));
  require(send_once(near.tunnel, kTransmitMark.value, probe_packet(ip("10.244.1.9"), ip("10.244.2.9"), 1)));
  for (int i = 0; i < 1000 && far.state_of(0xabc0123).integrity_failed == 0; ++i) usleep(10000);
  CHECK(far.state_of(0xabc0123).integrity_failed == 1);
  CHECK(far.state_of(0xabc0123).packets == 0);
  CHECK(near.state_of(0xabc0123).packets == 1);
}

TEST_CASE("live probe: a device that is down or gone is an error that says so") {
  Sandbox sandbox;
  const Link near = sandbox.add_veth("near", "far");
  const auto packet = probe_packet(ip("10.244.1.9"), ip("10.244.2.9"), 1);
  const auto down = send_once(near.ifindex, 0xe00, packet).error();
  CHECK(down.error_number() == ENETDOWN);
  CHECK(down.what().find("send a packet out of link " + std::to_string(near.ifindex) + ": ") == 0);
  CHECK(send_once(4711, 0xe00, packet).error().error_number() == ENXIO);
}
