#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: none; 31_mtu_wireguard_native.sh stands for it
# Path MTU, WireGuard, VXLAN: see 31_mtu_wireguard_native.sh.
exec "$(dirname "${BASH_SOURCE[0]}")/31_mtu_wireguard_native.sh" wireguard vxlan
