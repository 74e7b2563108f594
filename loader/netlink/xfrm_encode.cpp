// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "loader/netlink/wire_address.hpp"
#include "loader/netlink/xfrm_codec.hpp"

namespace sheath::netlink {
namespace {

// The window of a state without a bitmap of its own.
constexpr std::uint32_t kSmallWindow = 32;

template <typename T>
Bytes raw(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

xfrm_address_t wire(const IpAddress& address) {
  xfrm_address_t out{};
  std::memcpy(&out, address.bytes.data(), address.size());
  return out;
}

std::uint16_t wire_family(Family family) {
  return static_cast<std::uint16_t>(address_family(family));
}

xfrm_lifetime_cfg unlimited() {
  xfrm_lifetime_cfg out{};
  out.soft_byte_limit = out.hard_byte_limit = XFRM_INF;
  out.soft_packet_limit = out.hard_packet_limit = XFRM_INF;
  return out;
}

void put_mark(Message& message, const std::optional<XfrmMark>& mark) {
  if (mark) message.put(XFRMA_MARK, raw(xfrm_mark{mark->value, mark->mask}));
}

void put_if_id(Message& message, std::uint32_t if_id) {
  if (if_id != 0) message.put_u32(XFRMA_IF_ID, if_id);
}

// All structs of algorithms begin with a name of 64 bytes and the key's length in bits; the key follows the struct.
template <typename T>
void put_algorithm(Message& message, int type, T algorithm, const std::string& name, Bytes key) {
  std::ranges::copy(name, algorithm.alg_name);
  algorithm.alg_key_len = static_cast<unsigned>(key.size() * 8);
  message.put_joined(type, raw(algorithm), key);
}

void put_algorithms(Message& message, const XfrmAlgorithms& algorithms, const XfrmKeys& keys) {
  if (!algorithms.aead.empty()) {
    xfrm_algo_aead aead{};
    aead.alg_icv_len = algorithms.icv_bits;
    return put_algorithm(message, XFRMA_ALG_AEAD, aead, algorithms.aead, keys.encryption);
  }
  xfrm_algo_auth authentication{};
  authentication.alg_trunc_len = algorithms.icv_bits;
  put_algorithm(message, XFRMA_ALG_AUTH_TRUNC, authentication, algorithms.authentication, keys.authentication);
  put_algorithm(message, XFRMA_ALG_CRYPT, xfrm_algo{}, algorithms.encryption, keys.encryption);
}

// Without the bitmap that its struct announces: the kernel starts with an empty one.
void put_replay(Message& message, std::uint32_t window) {
  constexpr std::uint32_t kWordBits = 32;
  xfrm_replay_state_esn replay{};
  replay.bmp_len = (window + kWordBits - 1) / kWordBits;
  replay.replay_window = window;
  message.put(XFRMA_REPLAY_ESN_VAL, raw(replay));
}

bool has_own_bitmap(const XfrmState& state) {
  return state.esn || state.replay_window > kSmallWindow;
}

xfrm_usersa_info state_header(const XfrmState& state) {
  xfrm_usersa_info info{};
  info.id.daddr = wire(state.destination);
  info.id.spi = htonl(state.spi);
  info.id.proto = IPPROTO_ESP;
  info.saddr = wire(state.source);
  info.lft = unlimited();
  info.reqid = state.reqid;
  info.family = wire_family(state.destination.family);
  info.mode = XFRM_MODE_TUNNEL;
  if (!has_own_bitmap(state)) info.replay_window = static_cast<std::uint8_t>(state.replay_window);
  if (state.esn) info.flags |= XFRM_STATE_ESN;
  if (state.af_unspec) info.flags |= XFRM_STATE_AF_UNSPEC;
  return info;
}

Result<> check(const XfrmState& state) {
  if (state.source.family != state.destination.family) return fail("the ends of a state are of two families");
  if (state.replay_window > XFRMA_REPLAY_ESN_MAX) {
    return fail("a replay window has at most " + std::to_string(XFRMA_REPLAY_ESN_MAX) + " packets");
  }
  const auto& algorithms = state.algorithms;
  for (const std::string* name : {&algorithms.aead, &algorithms.authentication, &algorithms.encryption}) {
    if (name->size() >= sizeof xfrm_algo{}.alg_name) return fail("name of an algorithm is too long: " + *name);
  }
  const bool separate = !algorithms.authentication.empty() && !algorithms.encryption.empty();
  const bool none_of_them = algorithms.authentication.empty() && algorithms.encryption.empty();
  if (algorithms.aead.empty() ? !separate : !none_of_them) {
    return fail("a state has one algorithm for authenticated encryption, or two for authentication and encryption");
  }
  return {};
}

xfrm_selector selector(const XfrmPolicy& policy) {
  xfrm_selector out{};
  out.saddr = wire(policy.source.address);
  out.daddr = wire(policy.destination.address);
  out.family = wire_family(policy.destination.address.family);
  out.prefixlen_s = policy.source.length;
  out.prefixlen_d = policy.destination.length;
  return out;
}

void put_template(Message& message, const XfrmTemplate& encryption, Family selector_family) {
  xfrm_user_tmpl out{};
  out.family = wire_family(selector_family);
  if (encryption.source) out.family = wire_family(encryption.source->family), out.saddr = wire(*encryption.source);
  if (encryption.destination) {
    out.family = wire_family(encryption.destination->family);
    out.id.daddr = wire(*encryption.destination);
  }
  out.id.spi = htonl(encryption.spi);
  out.id.proto = IPPROTO_ESP;
  out.reqid = encryption.reqid;
  out.mode = XFRM_MODE_TUNNEL;
  out.optional = encryption.optional ? 1 : 0;
  out.aalgos = out.ealgos = out.calgos = ~0u;  // any algorithm
  message.put(XFRMA_TMPL, raw(out));
}

Result<> check(const XfrmPolicy& policy) {
  if (policy.source.address.family != policy.destination.address.family) {
    return fail("source and destination of a policy are of two families");
  }
  const auto& ends = policy.encryption;
  if (ends && ends->source && ends->destination && ends->source->family != ends->destination->family) {
    return fail("the ends of a policy's template are of two families");
  }
  return {};
}

Result<Message> encode_policy(std::uint16_t type, const XfrmPolicy& policy) {
  if (auto checked = check(policy); !checked) return fail(std::move(checked.error()));
  Message message(type);
  xfrm_userpolicy_info info{};
  info.sel = selector(policy);
  info.lft = unlimited();
  info.priority = policy.priority;
  info.dir = static_cast<std::uint8_t>(policy.direction);
  info.action = static_cast<std::uint8_t>(policy.action);
  message.put_struct(info);
  if (policy.encryption) put_template(message, *policy.encryption, policy.destination.address.family);
  put_mark(message, policy.mark);
  put_if_id(message, policy.if_id);
  return message;
}

}  // namespace

Result<Message> encode_add_state(const XfrmState& state, const XfrmKeys& keys) {
  if (auto checked = check(state); !checked) return fail(std::move(checked.error()));
  Message message(XFRM_MSG_NEWSA);
  message.set_secret();
  message.put_struct(state_header(state));
  put_algorithms(message, state.algorithms, keys);
  if (has_own_bitmap(state)) put_replay(message, state.replay_window);
  put_mark(message, state.mark);
  if (state.output_mark) {
    message.put_u32(XFRMA_SET_MARK, state.output_mark->value);
    message.put_u32(XFRMA_SET_MARK_MASK, state.output_mark->mask);
  }
  put_if_id(message, state.if_id);
  return message;
}

Result<Message> encode_delete_state(const XfrmState& state) {
  Message message(XFRM_MSG_DELSA);
  xfrm_usersa_id id{};
  id.daddr = wire(state.destination);
  id.spi = htonl(state.spi);
  id.family = wire_family(state.destination.family);
  id.proto = IPPROTO_ESP;
  message.put_struct(id);
  put_mark(message, state.mark);
  return message;
}

Result<Message> encode_add_policy(const XfrmPolicy& policy) {
  return encode_policy(XFRM_MSG_NEWPOLICY, policy);
}

Result<Message> encode_update_policy(const XfrmPolicy& policy) {
  return encode_policy(XFRM_MSG_UPDPOLICY, policy);
}

Result<Message> encode_delete_policy(const XfrmPolicy& policy) {
  if (auto checked = check(policy); !checked) return fail(std::move(checked.error()));
  Message message(XFRM_MSG_DELPOLICY);
  xfrm_userpolicy_id id{};
  id.sel = selector(policy);
  id.dir = static_cast<std::uint8_t>(policy.direction);
  message.put_struct(id);
  put_mark(message, policy.mark);
  put_if_id(message, policy.if_id);
  return message;
}

// Both tables are asked for without a fixed struct: the kernel would take it for attributes.
Message encode_list_states() {
  return Message(XFRM_MSG_GETSA);
}

Message encode_list_policies() {
  return Message(XFRM_MSG_GETPOLICY);
}

}  // namespace sheath::netlink
