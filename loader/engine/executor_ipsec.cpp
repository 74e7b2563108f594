// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <thread>

#include "loader/engine/executor.hpp"
#include "loader/engine/observe.hpp"
#include "loader/engine/translate.hpp"
#include "loader/keys/session.hpp"
#include "loader/netlink/addresses.hpp"
#include "loader/netlink/links.hpp"
#include "loader/netlink/probe.hpp"
#include "loader/netlink/routes.hpp"
#include "loader/netlink/tunnel_links.hpp"
#include "maps/marks.h"

// The steps of the IPsec engine and of the overlay.
namespace sheath::engine {
namespace {

netlink::XfrmAlgorithms algorithms_of(const keys::IpsecAlgorithm& algorithm) {
  return {algorithm.aead, algorithm.auth, algorithm.cipher, algorithm.icv_bits};
}

Result<> unless(Result<> done, int error_number) {
  if (!done && done.error().error_number() == error_number) return {};
  return done;
}

}  // namespace

Result<netlink::Xfrm*> Executor::xfrm() {
  if (!xfrm_) {
    auto opened = netlink::Xfrm::open();
    if (!opened) return fail(std::move(opened.error()));
    xfrm_ = std::move(*opened);
  }
  return &*xfrm_;
}

Result<const keys::Session*> Executor::session(std::uint8_t generation) const {
  const auto found = ipsec_->sessions().find(generation);
  if (found == ipsec_->sessions().end()) return fail("this node has no session for key " + std::to_string(generation));
  return &found->second;
}

// A peer's two states follow each other, and what they have in common takes most of the time.
Result<const keys::Pair*> Executor::pair(const keys::Session& own, const keys::KeyContext& context) {
  if (!pair_ || &pair_->own() != &own || pair_->context() != context) {
    auto made = keys::Pair::of(own, context);
    if (!made) return fail(std::move(made.error()));
    pair_.emplace(std::move(*made));
    if (digests_ != nullptr) digests_->learn(*pair_);
  }
  return &*pair_;
}

Result<> Executor::operator()(const plan::CreateXfrm& step) {
  auto link = netlink::xfrm_link(step.name, plan::kXfrmIfId);
  link.alias = kOwnAlias;
  auto made = netlink::create_link(socket_, link);
  if (!made) return fail(std::move(made.error()));
  devices_[step.name] = *made;
  return {};
}

Result<> Executor::operator()(const plan::SetDeliveryPolicies&) {
  const auto opened = xfrm();
  if (!opened) return fail(opened.error());
  for (const auto& policy : delivery_policies()) {
    if (auto done = (*opened)->update_policy(policy); !done) return done;
  }
  return {};
}

Result<> Executor::operator()(const plan::DrawSession& step) {
  const auto* psk = ipsec_->psk(step.psk_id);
  if (psk == nullptr) return fail("this node does not have key " + std::to_string(step.psk_id));
  const auto session = keys::Session::draw(step.generation, *psk, step.taken_tags, boot_time());
  if (!session) return fail(session.error());
  return ipsec_->store().save(*session);
}

Result<> Executor::operator()(const plan::RetireSession& step) {
  return ipsec_->store().wipe(step.generation);
}

Result<> Executor::operator()(const plan::AddState& step) {
  const auto opened = xfrm();
  if (!opened) return fail(opened.error());
  const auto own = session(step.state.generation);
  if (!own) return fail(own.error());
  const bool transmit = step.state.use == plan::StateUse::kTransmit;
  const auto pair = this->pair(**own, {ipsec_->node_name(), step.peer, step.session_key});
  if (!pair) return fail(pair.error());
  const auto key = (*pair)->key(transmit ? keys::KeyUse::kTransmit : keys::KeyUse::kReceive);
  if (!key) return fail(key.error());
  const auto& algorithm = (*own)->psk().algorithm();
  auto state = to_xfrm(step.state, config_.ipsec.replay_window);
  state.algorithms = algorithms_of(algorithm);
  return (*opened)->add_state(
      state, {key->bytes().subspan(algorithm.auth_key_bytes), key->bytes().first(algorithm.auth_key_bytes)});
}

Result<> Executor::operator()(const plan::DropState& step) {
  const auto opened = xfrm();
  if (!opened) return fail(opened.error());
  return unless((*opened)->delete_state(to_xfrm(step.state, config_.ipsec.replay_window)), ESRCH);
}

Result<> Executor::operator()(const plan::RecordPairs& step) {
  const auto own = session(step.generation);
  if (!own) return fail(own.error());
  return ipsec_->store().record(**own, step.sessions);
}

Result<> Executor::operator()(const plan::SetPolicies& step) {
  const auto opened = xfrm();
  if (!opened) return fail(opened.error());
  for (const auto& policy : step.policies) {
    if (auto done = (*opened)->update_policy(to_xfrm(policy)); !done) return done;
  }
  return {};
}

Result<> Executor::operator()(const plan::DropPolicies& step) {
  const auto opened = xfrm();
  if (!opened) return fail(opened.error());
  for (const auto& policy : step.policies) {
    if (auto done = unless((*opened)->delete_policy(to_xfrm(policy)), ENOENT); !done) return done;
  }
  return {};
}

Result<> Executor::operator()(const plan::SendProbes& step) {
  const auto ifindex = device(step.device);
  if (!ifindex) return fail(ifindex.error());
  if (!packets_) {
    auto opened = netlink::PacketSocket::open();
    if (!opened) return fail(std::move(opened.error()));
    packets_ = std::move(*opened);
  }
  for (const auto& probe : step.probes) {
    const auto packet = netlink::probe_packet(probe.source, probe.destination, probe.uses);
    const auto mark = sheath_tx_mark(probe.node_id, probe.generation);
    // A probe that is lost is sent again; the next one may find room, or the route that this one had not.
    (void)packets_->send(*ifindex, mark, packet);
  }
  return {};
}

Result<> Executor::operator()(const plan::ForgetHeard& step) {
  const auto opened = maps();
  if (!opened) return fail(opened.error());
  return (*opened)->clear_heard(step.node_id, static_cast<std::uint16_t>(1u << step.generation));
}

Result<> Executor::operator()(const plan::CreateOverlay& step) {
  auto link = netlink::vxlan_link(step.name, step.port);
  link.alias = kOwnAlias;
  auto made = netlink::create_link(socket_, link);
  if (!made) return fail(std::move(made.error()));
  devices_[step.name] = *made;
  return netlink::set_link_noarp(socket_, *made);
}

Result<> Executor::operator()(const plan::AddOverlayAddress& step) {
  const auto ifindex = device(plan::kOverlayDevice);
  if (!ifindex) return fail(ifindex.error());
  const auto added = netlink::add_address(socket_, *ifindex, step.address);
  if (!added) return fail(added.error());
  return {};
}

Result<> Executor::operator()(const plan::SetOverlayRoute& step) {
  const auto ifindex = device(plan::kOverlayDevice);
  if (!ifindex) return fail(ifindex.error());
  netlink::NewRoute route;
  route.destination = step.destination;
  route.ifindex = *ifindex;
  route.source = step.source;
  // One of ours with another source goes first; another's route stays, and is an error.
  (void)netlink::delete_route(socket_, route);
  return netlink::add_route(socket_, route);
}

Result<> Executor::operator()(const plan::DropOverlayRoute& step) {
  const auto ifindex = device(plan::kOverlayDevice);
  if (!ifindex) return fail(ifindex.error());
  netlink::NewRoute route;
  route.destination = step.destination;
  route.ifindex = *ifindex;
  return unless(netlink::delete_route(socket_, route), ESRCH);
}

Result<> Executor::operator()(const plan::Pause& step) {
  std::this_thread::sleep_for(step.duration);
  return {};
}

// By what the kernel shows now: there may be more than the plan knew.
Result<> Executor::operator()(const plan::FlushIpsec&) {
  const auto opened = xfrm();
  if (!opened) return fail(opened.error());
  const auto policies = (*opened)->list_policies(plan::kXfrmIfId);
  if (!policies) return fail(policies.error());
  const auto delivery = delivery_policies();
  for (const auto& report : *policies) {
    const bool ours = from_xfrm(report.policy) || std::ranges::find(delivery, report.policy) != delivery.end();
    if (!ours) continue;
    if (auto done = unless((*opened)->delete_policy(report.policy), ENOENT); !done) return done;
  }
  const auto states = (*opened)->list_states(plan::kXfrmIfId, [](const auto&) { return netlink::XfrmKeyDigest{}; });
  if (!states) return fail(states.error());
  for (const auto& report : *states) {
    if (!from_xfrm(report.state)) continue;
    if (auto done = unless((*opened)->delete_state(report.state), ESRCH); !done) return done;
  }
  return {};
}

Result<> Executor::operator()(const plan::RemoveSessions&) {
  return keys::SessionStore(config_.paths.run).wipe_all();
}

}  // namespace sheath::engine
