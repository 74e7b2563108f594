// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "loader/base/result.hpp"
#include "loader/netlink/xfrm.hpp"

// Messages of NETLINK_XFRM from and to plain structs, without a socket.
namespace sheath::netlink {

// These fail for what the kernel's structs cannot hold: addresses of two families, names and windows that are too long.
Result<Message> encode_add_state(const XfrmState& state, const XfrmKeys& keys);
Result<Message> encode_delete_state(const XfrmState& state);
Result<Message> encode_add_policy(const XfrmPolicy& policy);
Result<Message> encode_update_policy(const XfrmPolicy& policy);
Result<Message> encode_delete_policy(const XfrmPolicy& policy);
Message encode_list_states();
Message encode_list_policies();

// A reply of type XFRM_MSG_NEWSA; nullopt for any other, for other protocols than ESP and for another if_id than the
// one asked for (0: any).
Result<std::optional<XfrmStateReport>> decode_state(const Reply& reply, std::uint32_t if_id,
                                                    const XfrmDigester& digest);
// A reply of type XFRM_MSG_NEWPOLICY; nullopt for any other, for policies of sockets and for another if_id.
Result<std::optional<XfrmPolicyReport>> decode_policy(const Reply& reply, std::uint32_t if_id);

// What helps against an error of add_state; empty: nothing known.
std::string add_state_hint(const XfrmState& state, int error_number);

}  // namespace sheath::netlink
