// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/rules.hpp"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/routes.hpp"
#include "loader/netlink/wire_address.hpp"

namespace sheath::netlink {
namespace {

Message about(std::uint16_t type, std::uint16_t flags, const Rule& rule) {
  fib_rule_hdr header{};
  header.family = static_cast<std::uint8_t>(address_family(rule.family));
  header.action = type == RTM_NEWRULE ? FR_ACT_TO_TBL : FR_ACT_UNSPEC;
  Message message(type, flags);
  message.put_struct(header);
  message.put_u32(FRA_PRIORITY, rule.priority);
  message.put_u32(FRA_FWMARK, rule.mark);
  message.put_u32(FRA_FWMASK, rule.mask);
  message.put_u32(FRA_TABLE, rule.table);
  message.put_u8(FRA_PROTOCOL, kSheathRouteProtocol);
  return message;
}

Result<> send(Socket& socket, Message message, const char* doing, const Rule& rule) {
  if (auto done = socket.request(message); !done) {
    return fail(std::move(done.error())
                    .context(doing + std::to_string(rule.priority) + " to table " + std::to_string(rule.table)));
  }
  return {};
}

}  // namespace

Result<std::optional<Rule>> decode_own_rule(const Reply& reply) {
  if (reply.type != RTM_NEWRULE) return std::nullopt;
  const auto message = parse_message<fib_rule_hdr>(reply.payload);
  if (!message) return fail(message.error());
  const auto& [header, attributes] = *message;
  const auto family = family_of(header.family);
  if (!family || attributes.u8(FRA_PROTOCOL).value_or(0) != kSheathRouteProtocol) return std::nullopt;
  Rule rule;
  rule.family = *family;
  rule.priority = attributes.u32(FRA_PRIORITY).value_or(0);
  rule.mark = attributes.u32(FRA_FWMARK).value_or(0);
  rule.mask = attributes.u32(FRA_FWMASK).value_or(0);
  rule.table = attributes.u32(FRA_TABLE).value_or(header.table);
  return rule;
}

Message encode_add_rule(const Rule& rule) {
  return about(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

Message encode_delete_rule(const Rule& rule) {
  return about(RTM_DELRULE, 0, rule);
}

Result<std::vector<Rule>> list_own_rules(Socket& socket) {
  Message message(RTM_GETRULE);
  message.put_struct(fib_rule_hdr{});
  std::vector<Rule> out;
  const auto add = [&](const Reply& reply) -> Result<> {
    auto rule = decode_own_rule(reply);
    if (!rule) return fail(std::move(rule.error()));
    if (*rule) out.push_back(**rule);
    return {};
  };
  if (auto done = socket.dump(message, [&] { out.clear(); }, add); !done) {
    return fail(std::move(done.error()).context("list routing rules"));
  }
  return out;
}

Result<> add_rule(Socket& socket, const Rule& rule) {
  return send(socket, encode_add_rule(rule), "add the routing rule ", rule);
}

Result<> delete_rule(Socket& socket, const Rule& rule) {
  return send(socket, encode_delete_rule(rule), "delete the routing rule ", rule);
}

}  // namespace sheath::netlink
