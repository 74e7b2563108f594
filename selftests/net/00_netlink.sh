#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The netlink library against this kernel, before anything is built on it: devices, routes, WireGuard, packet filters, tc.
set -euo pipefail
build=${SHEATH_BUILD-$(realpath -- "$(dirname -- "${BASH_SOURCE[0]}")/../..")/build/release}
exec "$build/selftests/net/netlink/sheath_net_netlink" --no-version
