#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# Node encryption with WireGuard, rp_filter on: what nodes say to each other and to pods goes through cilium_wg0.
set -euo pipefail
export CLUSTER_RP_FILTER=1
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/node_traffic.sh"

test_node_encryption 1420
finish
