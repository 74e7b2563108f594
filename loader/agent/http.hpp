// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sheath::agent {

// An HTTP server's answer to what a client has sent so far; nullopt as long as the request is not complete. GET and
// HEAD of /metrics are answered with `metrics()`, everything else with what is wrong with it. The connection ends with
// it.
std::optional<std::string> answer_http(std::string_view received, const std::function<std::string()>& metrics);

}  // namespace sheath::agent
