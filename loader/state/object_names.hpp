// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

// What reader and writer of node objects have to agree on.
namespace sheath::state {

inline constexpr std::string_view kKeyAnnotation = "network.cilium.io/wg-pub-key";
// The name of the same annotation in Cilium's first releases with WireGuard.
inline constexpr std::string_view kOldKeyAnnotation = "io.cilium.network.wg-pub-key";
// IPsec: the ID of the key file's key, and of each session, as lists "3=…,4=…" by key ID: the public key in base64, the
// SPI tag as seven hex digits, the ID of the pre-shared key.
inline constexpr std::string_view kIpsecKeyIdAnnotation = "sheath.io/ipsec-key-id";
inline constexpr std::string_view kIpsecKeyAnnotation = "sheath.io/ipsec-pub-key";
inline constexpr std::string_view kIpsecTagAnnotation = "sheath.io/ipsec-spi-tag";
inline constexpr std::string_view kIpsecPskAnnotation = "sheath.io/ipsec-psk-id";
// "true": the node sends its node traffic to peers encrypted, and so may be held to it.
inline constexpr std::string_view kNodeEncryptionAnnotation = "sheath.io/node-encryption";
// Cilium's router addresses.
inline constexpr std::string_view kRouterIp4Annotation = "network.cilium.io/ipv4-cilium-host";
inline constexpr std::string_view kRouterIp6Annotation = "network.cilium.io/ipv6-cilium-host";
inline constexpr std::string_view kRouterIp = "CiliumInternalIP";
inline constexpr std::string_view kManagedByLabel = "app.kubernetes.io/managed-by";
inline constexpr std::string_view kManagedBySheath = "sheath";
inline constexpr std::string_view kInternalIp = "InternalIP";
inline constexpr std::string_view kPublishedSuffix = ".sheath.json";

}  // namespace sheath::state
