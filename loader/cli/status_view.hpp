// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "loader/cli/agent_view.hpp"
#include "loader/cli/output.hpp"
#include "loader/engine/status.hpp"

namespace sheath::cli {

// "Wireguard [NodeEncryption: Disabled, cilium_wg0 (Pubkey: ..., Port: 51871, Peers: 3)]", as Cilium writes it.
std::string encryption_text(const engine::Status& status);

// For a person. Ages are counted from now.
std::string status_text(const engine::Status& status, const AgentView& agent, const std::string& node,
                        const Style& style);
// For a script: the same, with raw numbers, and counters that are not zero by program and reason.
std::string status_json(const engine::Status& status, const AgentView& agent, const std::string& node);

}  // namespace sheath::cli
