// SPDX-License-Identifier: Apache-2.0
#include "loader/state/opt_out.hpp"

#include <algorithm>

namespace sheath::state {

bool is_opted_out(const Config& config, const Node& node) {
  return std::ranges::any_of(config.node_encryption_opt_out_labels, [&](const std::string& wanted) {
    const auto sign = wanted.find('=');
    const auto found = node.labels.find(wanted.substr(0, sign));
    if (found == node.labels.end()) return false;
    return sign == std::string::npos || found->second == wanted.substr(sign + 1);
  });
}

}  // namespace sheath::state
