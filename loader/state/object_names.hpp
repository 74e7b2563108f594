// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

// What reader and writer of node objects have to agree on.
namespace sheath::state {

inline constexpr std::string_view kKeyAnnotation = "network.cilium.io/wg-pub-key";
// The name of the same annotation in Cilium's first releases with WireGuard.
inline constexpr std::string_view kOldKeyAnnotation = "io.cilium.network.wg-pub-key";
inline constexpr std::string_view kManagedByLabel = "app.kubernetes.io/managed-by";
inline constexpr std::string_view kManagedBySheath = "sheath";
inline constexpr std::string_view kInternalIp = "InternalIP";
inline constexpr std::string_view kPublishedSuffix = ".sheath.json";

}  // namespace sheath::state
