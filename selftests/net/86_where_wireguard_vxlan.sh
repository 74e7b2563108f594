#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where traffic is, and is not, encrypted: wireguard, vxlan routing.
# One kernel is enough: 6.1
set -euo pipefail
export CLUSTER_ENCRYPTION=wireguard CLUSTER_ROUTING=vxlan
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/where.sh"

test_where
finish
