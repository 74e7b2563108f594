#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# Path MTU, IPsec, VXLAN: see 31_mtu_wireguard_native.sh.
exec "$(dirname "${BASH_SOURCE[0]}")/31_mtu_wireguard_native.sh" ipsec vxlan
