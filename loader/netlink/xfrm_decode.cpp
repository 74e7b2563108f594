// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/wire_address.hpp"
#include "loader/netlink/xfrm_codec.hpp"

namespace sheath::netlink {
namespace {

// Attributes of a state that XfrmState has no field for. What newer kernels add is not among them: it cannot be told
// whether that changes anything.
constexpr std::array kUnusualStateAttributes = {XFRMA_ALG_COMP,    XFRMA_ENCAP,        XFRMA_SEC_CTX,
                                                XFRMA_COADDR,      XFRMA_TFCPAD,       XFRMA_SA_EXTRA_FLAGS,
                                                XFRMA_OFFLOAD_DEV, XFRMA_MTIMER_THRESH};

std::unexpected<Error> malformed(const char* what) {
  return fail(std::string("xfrm: ") + what + " is malformed");
}

// Absent, or of exactly that size.
template <typename T>
Result<std::optional<T>> fixed(const Attributes& attributes, int type, const char* what) {
  const auto value = attributes.value<T>(type);
  if (!value && attributes.find(type)) return malformed(what);
  return value;
}

IpAddress read(Family family, const xfrm_address_t& address) {
  IpAddress out{family, {}};
  std::memcpy(out.bytes.data(), &address, out.size());
  return out;
}

bool is_unlimited(const xfrm_lifetime_cfg& lifetime) {
  return lifetime.soft_byte_limit == XFRM_INF && lifetime.hard_byte_limit == XFRM_INF &&
         lifetime.soft_packet_limit == XFRM_INF && lifetime.hard_packet_limit == XFRM_INF &&
         lifetime.soft_add_expires_seconds == 0 && lifetime.hard_add_expires_seconds == 0 &&
         lifetime.soft_use_expires_seconds == 0 && lifetime.hard_use_expires_seconds == 0;
}

// It selects by more than addresses.
bool is_narrow(const xfrm_selector& selector) {
  return selector.dport_mask != 0 || selector.sport_mask != 0 || selector.proto != 0 || selector.ifindex != 0 ||
         selector.user != 0;
}

Result<std::optional<XfrmMark>> decode_mark(const Attributes& attributes) {
  const auto mark = fixed<xfrm_mark>(attributes, XFRMA_MARK, "a mark");
  if (!mark) return fail(mark.error());
  if (!*mark) return std::nullopt;
  return XfrmMark{(*mark)->v, (*mark)->m};
}

Result<std::optional<XfrmMark>> decode_output_mark(const Attributes& attributes) {
  const auto value = fixed<std::uint32_t>(attributes, XFRMA_SET_MARK, "an output mark");
  const auto mask = fixed<std::uint32_t>(attributes, XFRMA_SET_MARK_MASK, "the mask of an output mark");
  if (!value) return fail(value.error());
  if (!mask) return fail(mask.error());
  if (!*value && !*mask) return std::nullopt;
  return XfrmMark{value->value_or(0), mask->value_or(0xffffffff)};
}

struct Algorithm {
  std::string name;
  std::uint32_t icv_bits = 0;
  Bytes key;
};

std::uint32_t icv_bits(const xfrm_algo_aead& algorithm) {
  return algorithm.alg_icv_len;
}
std::uint32_t icv_bits(const xfrm_algo_auth& algorithm) {
  return algorithm.alg_trunc_len;
}
std::uint32_t icv_bits(const xfrm_algo&) {
  return 0;
}

// No name when the attribute is absent.
template <typename T>
Result<Algorithm> decode_algorithm(const Attributes& attributes, int type) {
  const auto bytes = attributes.find(type);
  if (!bytes) return Algorithm{};
  T header;
  if (bytes->size() < sizeof header) return malformed("an algorithm");
  std::memcpy(&header, bytes->data(), sizeof header);
  Algorithm out;
  out.name.assign(header.alg_name, std::find(header.alg_name, std::end(header.alg_name), '\0'));
  out.icv_bits = icv_bits(header);
  out.key = bytes->subspan(sizeof header);
  if (out.key.size() != (std::uint64_t{header.alg_key_len} + 7) / 8) return malformed("the key of an algorithm");
  return out;
}

bool is_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

void take_keys(const XfrmKeys& keys, const XfrmDigester& digest, XfrmStateReport& report) {
  const bool any = !keys.encryption.empty() || !keys.authentication.empty();
  report.keys_hidden = any && is_zero(keys.encryption) && is_zero(keys.authentication);
  if (!report.keys_hidden && digest) report.key_digest = digest(keys);
}

Result<> decode_algorithms(const Attributes& attributes, const XfrmDigester& digest, XfrmStateReport& report) {
  const auto aead = decode_algorithm<xfrm_algo_aead>(attributes, XFRMA_ALG_AEAD);
  if (!aead) return fail(aead.error());
  // The kernel tells the authentication twice, once without the length of its result.
  const auto authentication = decode_algorithm<xfrm_algo_auth>(attributes, XFRMA_ALG_AUTH_TRUNC);
  if (!authentication) return fail(authentication.error());
  const auto encryption = decode_algorithm<xfrm_algo>(attributes, XFRMA_ALG_CRYPT);
  if (!encryption) return fail(encryption.error());
  const bool is_aead = !aead->name.empty();
  report.state.algorithms = {aead->name, authentication->name, encryption->name,
                             is_aead ? aead->icv_bits : authentication->icv_bits};
  take_keys({is_aead ? aead->key : encryption->key, authentication->key}, digest, report);
  return {};
}

std::uint64_t joined(std::uint32_t high, std::uint32_t low) {
  return std::uint64_t{high} << 32 | low;
}

Result<> decode_replay(const Attributes& attributes, XfrmStateReport& report) {
  const auto small = fixed<xfrm_replay_state>(attributes, XFRMA_REPLAY_VAL, "a replay window");
  if (!small) return fail(small.error());
  if (*small) {
    report.sent_sequence = (*small)->oseq;
    report.received_sequence = (*small)->seq;
  }
  const auto bytes = attributes.find(XFRMA_REPLAY_ESN_VAL);
  if (!bytes) return {};
  xfrm_replay_state_esn replay;
  if (bytes->size() < sizeof replay) return malformed("a replay window");
  std::memcpy(&replay, bytes->data(), sizeof replay);
  if (bytes->size() - sizeof replay != std::uint64_t{replay.bmp_len} * sizeof(std::uint32_t)) {
    return malformed("the bitmap of a replay window");
  }
  report.state.replay_window = replay.replay_window;
  report.sent_sequence = joined(replay.oseq_hi, replay.oseq);
  report.received_sequence = joined(replay.seq_hi, replay.seq);
  return {};
}

bool is_unusual(const xfrm_usersa_info& info, const Attributes& attributes) {
  constexpr int kKnownFlags = XFRM_STATE_ESN | XFRM_STATE_AF_UNSPEC;
  const auto& selector = info.sel;
  return info.mode != XFRM_MODE_TUNNEL || (info.flags & ~kKnownFlags) != 0 || !is_unlimited(info.lft) ||
         is_narrow(selector) || selector.prefixlen_s != 0 || selector.prefixlen_d != 0 ||
         std::ranges::any_of(kUnusualStateAttributes, [&](int type) { return attributes.find(type).has_value(); });
}

XfrmStateReport report_of(const xfrm_usersa_info& info, Family family) {
  XfrmStateReport out;
  out.state.source = read(family, info.saddr);
  out.state.destination = read(family, info.id.daddr);
  out.state.spi = ntohl(info.id.spi);
  out.state.reqid = info.reqid;
  out.state.replay_window = info.replay_window;
  out.state.esn = (info.flags & XFRM_STATE_ESN) != 0;
  out.state.af_unspec = (info.flags & XFRM_STATE_AF_UNSPEC) != 0;
  out.bytes = info.curlft.bytes;
  out.packets = info.curlft.packets;
  out.add_time = info.curlft.add_time;
  out.use_time = info.curlft.use_time;
  out.too_old = info.stats.replay_window;
  out.replayed = info.stats.replay;
  out.integrity_failed = info.stats.integrity_failed;
  return out;
}

Result<std::optional<Cidr>> decode_prefix(Family family, const xfrm_address_t& address, std::uint8_t length) {
  const Cidr out{read(family, address), length};
  if (length > out.address.size() * 8) return malformed("the selector of a policy");
  return out;
}

bool is_unusual(const xfrm_user_tmpl& one) {
  return one.id.proto != IPPROTO_ESP || one.mode != XFRM_MODE_TUNNEL || one.share != XFRM_SHARE_ANY ||
         (one.aalgos & one.ealgos & one.calgos) != ~0u;
}

// The first of them; all zero is the kernel's way to say "any".
Result<> decode_templates(const Attributes& attributes, XfrmPolicyReport& report) {
  const auto bytes = attributes.find(XFRMA_TMPL);
  if (!bytes || bytes->empty()) return {};
  xfrm_user_tmpl first;
  if (bytes->size() % sizeof first != 0) return malformed("the template of a policy");
  std::memcpy(&first, bytes->data(), sizeof first);
  const auto family = family_of(first.family);
  if (!family) return malformed("the family of a template");
  const auto end = [&](const xfrm_address_t& address) -> std::optional<IpAddress> {
    const IpAddress out = read(*family, address);
    return is_zero(address_bytes(out)) ? std::nullopt : std::optional(out);
  };
  report.policy.encryption =
      XfrmTemplate{end(first.saddr), end(first.id.daddr), ntohl(first.id.spi), first.reqid, first.optional != 0};
  if (bytes->size() != sizeof first || is_unusual(first)) report.unusual = true;
  return {};
}

Result<> decode_policy_attributes(const Attributes& attributes, XfrmPolicyReport& report) {
  auto mark = decode_mark(attributes);
  if (!mark) return fail(std::move(mark.error()));
  report.policy.mark = *mark;
  if (attributes.find(XFRMA_SEC_CTX)) report.unusual = true;
  return decode_templates(attributes, report);
}

Result<std::optional<XfrmPolicyReport>> report_of(const xfrm_userpolicy_info& info, Family family) {
  const auto source = decode_prefix(family, info.sel.saddr, info.sel.prefixlen_s);
  if (!source) return fail(source.error());
  const auto destination = decode_prefix(family, info.sel.daddr, info.sel.prefixlen_d);
  if (!destination) return fail(destination.error());
  XfrmPolicyReport out;
  out.policy.source = **source;
  out.policy.destination = **destination;
  out.policy.direction = static_cast<XfrmDirection>(info.dir);
  out.policy.priority = info.priority;
  out.policy.action = info.action == XFRM_POLICY_ALLOW ? XfrmAction::kAllow : XfrmAction::kBlock;
  out.index = info.index;
  out.unusual = is_narrow(info.sel) || !is_unlimited(info.lft) || info.flags != 0 || info.share != XFRM_SHARE_ANY;
  return out;
}

// It belongs to the if_id that was asked for.
Result<bool> is_of(const Attributes& attributes, std::uint32_t if_id, std::uint32_t& own) {
  const auto value = fixed<std::uint32_t>(attributes, XFRMA_IF_ID, "an if_id");
  if (!value) return fail(value.error());
  own = value->value_or(0);
  return if_id == 0 || own == if_id;
}

}  // namespace

Result<std::optional<XfrmStateReport>> decode_state(const Reply& reply, std::uint32_t if_id,
                                                    const XfrmDigester& digest) {
  if (reply.type != XFRM_MSG_NEWSA) return std::nullopt;
  const auto message = parse_message<xfrm_usersa_info>(reply.payload);
  if (!message) return fail(message.error());
  const auto& [info, attributes] = *message;
  const auto family = family_of(info.family);
  if (!family || info.id.proto != IPPROTO_ESP) return std::nullopt;
  XfrmStateReport out = report_of(info, *family);
  const auto wanted = is_of(attributes, if_id, out.state.if_id);
  if (!wanted) return fail(wanted.error());
  if (!*wanted) return std::nullopt;

  auto mark = decode_mark(attributes);
  if (!mark) return fail(std::move(mark.error()));
  auto output_mark = decode_output_mark(attributes);
  if (!output_mark) return fail(std::move(output_mark.error()));
  out.state.mark = *mark;
  out.state.output_mark = *output_mark;
  out.unusual = is_unusual(info, attributes);
  if (auto done = decode_replay(attributes, out); !done) return fail(std::move(done.error()));
  if (auto done = decode_algorithms(attributes, digest, out); !done) return fail(std::move(done.error()));
  return out;
}

Result<std::optional<XfrmPolicyReport>> decode_policy(const Reply& reply, std::uint32_t if_id) {
  if (reply.type != XFRM_MSG_NEWPOLICY) return std::nullopt;
  const auto message = parse_message<xfrm_userpolicy_info>(reply.payload);
  if (!message) return fail(message.error());
  const auto& [info, attributes] = *message;
  const auto family = family_of(info.sel.family);
  const auto type = attributes.value<xfrm_userpolicy_type>(XFRMA_POLICY_TYPE).value_or(xfrm_userpolicy_type{});
  if (!family || info.dir > XFRM_POLICY_FWD || type.type != XFRM_POLICY_TYPE_MAIN) return std::nullopt;
  std::uint32_t own = 0;
  const auto wanted = is_of(attributes, if_id, own);
  if (!wanted) return fail(wanted.error());
  if (!*wanted) return std::nullopt;

  auto out = report_of(info, *family);
  if (!out) return out;
  (*out)->policy.if_id = own;
  if (auto done = decode_policy_attributes(attributes, **out); !done) return fail(std::move(done.error()));
  return out;
}

}  // namespace sheath::netlink
