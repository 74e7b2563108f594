// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/xfrm.hpp"

#include <linux/netlink.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "loader/netlink/xfrm_codec.hpp"

namespace sheath::netlink {
namespace {

std::string text(const XfrmState& state) {
  char spi[16];
  std::snprintf(spi, sizeof spi, "0x%08x", state.spi);
  return state.source.text() + " to " + state.destination.text() + ", SPI " + spi;
}

std::string text(const XfrmPolicy& policy) {
  constexpr std::array kNames = {"in ", "out ", "fwd "};
  return kNames.at(static_cast<std::size_t>(policy.direction)) + policy.source.text() + " to " +
         policy.destination.text();
}

// What an algorithm is made of. Older kernels need the random number generator's parts for its nonces; where something
// is built in, modprobe has nothing to do.
std::string modules_of(const XfrmAlgorithms& algorithms) {
  constexpr std::string_view kRandom = " drbg jitterentropy_rng sha512_generic";
  std::string out;
  if (algorithms.aead.starts_with("rfc4106(gcm(")) out = "gcm seqiv ghash_generic ctr aes_generic";
  if (algorithms.aead.starts_with("rfc7539esp(")) out = "chacha20poly1305 seqiv chacha_generic poly1305_generic";
  if (algorithms.aead.empty()) out = "authenc echainiv cbc aes_generic sha256_generic";
  return out.empty() ? out : out + std::string(kRandom);
}

std::string algorithm_hint(const XfrmAlgorithms& algorithms) {
  const std::string name =
      algorithms.aead.empty() ? algorithms.authentication + " with " + algorithms.encryption : algorithms.aead;
  const std::string modules = modules_of(algorithms);
  const std::string hint = "the kernel cannot do " + name;
  return modules.empty() ? hint : hint + "; if it has it as modules: modprobe -a " + modules;
}

std::string esp_hint(Family family) {
  if (family == Family::kIpv4) return "the kernel needs CONFIG_INET_ESP; if it is a module: modprobe esp4";
  return "the kernel needs CONFIG_INET6_ESP; if it is a module: modprobe esp6";
}

}  // namespace

std::string add_state_hint(const XfrmState& state, int error_number) {
  // ENOSYS: IPsec does not know the name, or no module brought it; ENOENT: a part of it is missing.
  if (error_number == ENOSYS || error_number == ENOENT) return algorithm_hint(state.algorithms);
  if (error_number == EPROTONOSUPPORT) return esp_hint(state.destination.family);
  return {};
}

Result<Xfrm> Xfrm::open() {
  auto socket = Socket::open(NETLINK_XFRM);
  if (socket) return Xfrm(std::move(*socket));
  if (socket.error().error_number() != EPROTONOSUPPORT) return fail(std::move(socket.error()));
  return fail(std::move(socket.error())
                  .context("this kernel has no IPsec")
                  .hint("the kernel needs CONFIG_XFRM_USER; if it is a module: modprobe xfrm_user"));
}

Result<> Xfrm::send(Result<Message> message, const std::string& doing) {
  auto done = message ? socket_.request(*message) : fail(std::move(message.error()));
  if (!done) return fail(std::move(done.error()).context(doing));
  return {};
}

Result<> Xfrm::add_state(const XfrmState& state, const XfrmKeys& keys) {
  auto done = send(encode_add_state(state, keys), "add state " + text(state));
  if (done) return done;
  const auto hint = add_state_hint(state, done.error().error_number());
  return hint.empty() ? fail(std::move(done.error())) : fail(std::move(done.error()).hint(hint));
}

Result<> Xfrm::delete_state(const XfrmState& state) {
  return send(encode_delete_state(state), "delete state " + text(state));
}

Result<std::vector<XfrmStateReport>> Xfrm::list_states(std::uint32_t if_id, const XfrmDigester& digest) {
  Message message = encode_list_states();
  auto states = dump_list<XfrmStateReport>(socket_, message,
                                           [&](const Reply& reply) { return decode_state(reply, if_id, digest); });
  if (!states) return fail(std::move(states.error()).context("list IPsec states"));
  return states;
}

Result<> Xfrm::add_policy(const XfrmPolicy& policy) {
  return send(encode_add_policy(policy), "add policy " + text(policy));
}

Result<> Xfrm::update_policy(const XfrmPolicy& policy) {
  return send(encode_update_policy(policy), "update policy " + text(policy));
}

Result<> Xfrm::delete_policy(const XfrmPolicy& policy) {
  return send(encode_delete_policy(policy), "delete policy " + text(policy));
}

Result<std::vector<XfrmPolicyReport>> Xfrm::list_policies(std::uint32_t if_id) {
  Message message = encode_list_policies();
  auto policies =
      dump_list<XfrmPolicyReport>(socket_, message, [&](const Reply& reply) { return decode_policy(reply, if_id); });
  if (!policies) return fail(std::move(policies.error()).context("list IPsec policies"));
  return policies;
}

}  // namespace sheath::netlink
