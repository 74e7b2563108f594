// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/generic.hpp"

#include <linux/genetlink.h>

#include <cerrno>
#include <string>

#include "loader/netlink/attributes.hpp"

namespace sheath::netlink {

Result<std::optional<std::uint16_t>> find_family(Socket& socket, std::string_view name) {
  Message message(GENL_ID_CTRL);
  message.put_struct(genlmsghdr{CTRL_CMD_GETFAMILY, 1, 0});
  message.put_string(CTRL_ATTR_FAMILY_NAME, name);
  std::optional<std::uint16_t> id;
  auto done = socket.request(message, [&](const Reply& reply) -> Result<> {
    const auto answer = parse_message<genlmsghdr>(reply.payload);
    if (!answer) return fail(answer.error());
    id = answer->attributes.value<std::uint16_t>(CTRL_ATTR_FAMILY_ID);
    return {};
  });
  if (done || done.error().error_number() == ENOENT) return id;
  return fail(std::move(done.error()).context("look up generic netlink family " + std::string(name)));
}

}  // namespace sheath::netlink
