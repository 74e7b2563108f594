// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/tc.hpp"

#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "loader/netlink/attributes.hpp"

namespace sheath::netlink {
namespace {

std::uint32_t parent_of(TcDirection direction) {
  const std::uint32_t minor = direction == TcDirection::kIngress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS;
  return TC_H_MAKE(TC_H_CLSACT, minor);
}

tcmsg header_of(std::uint32_t ifindex, std::uint32_t parent) {
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(ifindex);
  header.tcm_parent = parent;
  return header;
}

std::string text(std::uint32_t ifindex) {
  return "link " + std::to_string(ifindex);
}

Result<std::vector<TcFilter>> list_direction(Socket& socket, std::uint32_t ifindex, TcDirection direction) {
  Message message(RTM_GETTFILTER);
  message.put_struct(header_of(ifindex, parent_of(direction)));
  return dump_list<TcFilter>(socket, message,
                             [&](const Reply& reply) { return decode_tc_filter(reply, ifindex, direction); });
}

Result<> delete_clsact(Socket& socket, std::uint32_t ifindex) {
  Message message(RTM_DELQDISC);
  tcmsg header = header_of(ifindex, TC_H_CLSACT);
  header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0u);
  message.put_struct(header);
  message.put_string(TCA_KIND, "clsact");
  if (auto done = socket.request(message); !done) {
    return fail(std::move(done.error()).context("delete qdisc clsact of " + text(ifindex)));
  }
  return {};
}

}  // namespace

Result<std::optional<TcFilter>> decode_tc_filter(const Reply& reply, std::uint32_t ifindex, TcDirection direction) {
  if (reply.type != RTM_NEWTFILTER) return std::nullopt;
  const auto message = parse_message<tcmsg>(reply.payload);
  if (!message) return fail(message.error());
  const auto& [header, attributes] = *message;
  if (header.tcm_handle == 0) return std::nullopt;
  TcFilter filter;
  filter.ifindex = ifindex;
  filter.direction = direction;
  filter.kind = attributes.string(TCA_KIND).value_or("");
  filter.priority = static_cast<std::uint16_t>(header.tcm_info >> 16);
  filter.handle = header.tcm_handle;
  filter.chain = attributes.u32(TCA_CHAIN).value_or(0);
  if (filter.kind != "bpf") return filter;
  const auto options = attributes.nested(TCA_OPTIONS);
  if (!options) return fail(options.error());
  filter.name = options->string(TCA_BPF_NAME).value_or("");
  filter.program_id = options->u32(TCA_BPF_ID);
  return filter;
}

Result<bool> has_clsact(Socket& socket, std::uint32_t ifindex) {
  Message message(RTM_GETQDISC);
  message.put_struct(header_of(ifindex, 0));
  bool found = false;
  // The kernel lists the qdiscs of all devices.
  const auto look = [&](const Reply& reply) -> Result<> {
    const auto qdisc = parse_message<tcmsg>(reply.payload);
    if (!qdisc) return fail(qdisc.error());
    if (qdisc->header.tcm_ifindex != static_cast<int>(ifindex)) return {};
    found = found || qdisc->attributes.string(TCA_KIND) == "clsact";
    return {};
  };
  if (auto done = socket.dump(message, [&] { found = false; }, look); !done) {
    return fail(std::move(done.error()).context("list the qdiscs of " + text(ifindex)));
  }
  return found;
}

Result<std::vector<TcFilter>> list_tc_filters(Socket& socket, std::uint32_t ifindex) {
  const auto present = has_clsact(socket, ifindex);
  if (!present) return fail(present.error());
  std::vector<TcFilter> out;
  if (!*present) return out;
  for (const auto direction : {TcDirection::kIngress, TcDirection::kEgress}) {
    auto filters = list_direction(socket, ifindex, direction);
    if (!filters) return fail(std::move(filters.error()).context("list the filters of " + text(ifindex)));
    out.insert(out.end(), filters->begin(), filters->end());
  }
  return out;
}

Result<> delete_tc_filter(Socket& socket, const TcFilter& filter) {
  Message message(RTM_DELTFILTER);
  tcmsg header = header_of(filter.ifindex, parent_of(filter.direction));
  header.tcm_handle = filter.handle;
  // Protocol 0 fits any.
  header.tcm_info = TC_H_MAKE(static_cast<std::uint32_t>(filter.priority) << 16, 0u);
  message.put_struct(header);
  message.put_string(TCA_KIND, filter.kind);
  if (filter.chain != 0) message.put_u32(TCA_CHAIN, filter.chain);
  if (auto done = socket.request(message); !done) {
    return fail(std::move(done.error()).context("delete a " + filter.kind + " filter of " + text(filter.ifindex)));
  }
  return {};
}

Result<bool> delete_clsact_if_empty(Socket& socket, std::uint32_t ifindex) {
  const auto present = has_clsact(socket, ifindex);
  if (!present) return fail(present.error());
  if (!*present) return true;
  const auto filters = list_tc_filters(socket, ifindex);
  if (!filters) return fail(filters.error());
  if (!filters->empty()) return false;
  if (auto done = delete_clsact(socket, ifindex); !done) return fail(std::move(done.error()));
  return true;
}

}  // namespace sheath::netlink
