// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/base/result.hpp"

namespace sheath::agent {

// Gives up for good what an agent does not need once it has begun, so that whoever takes it over has no more either:
// all capabilities but CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_NET_RAW and CAP_SYS_ADMIN; new privileges by execve(2);
// and all system calls but those that it makes (seccomp): it can start no process, see none, mount nothing, enter no
// namespace, load no module, become no other user. They fail with EPERM.
Result<> confine();

}  // namespace sheath::agent
