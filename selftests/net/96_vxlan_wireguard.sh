#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: none; 86_where_wireguard_vxlan.sh stands for it
# The story of 95_vxlan.sh with WireGuard, which needs no VXLAN around it.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/95_vxlan.sh" wireguard
