// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/base/result.hpp"
#include "loader/cli/command.hpp"

namespace sheath::cli {

// `sheath verify --watch`: writes as it goes, which no other command does; what it hands back is the end of it.
Result<Outcome> run_verify_watch(const Invocation& invocation);

}  // namespace sheath::cli
