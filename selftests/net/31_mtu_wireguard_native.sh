#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# Path MTU, WireGuard: each underlay MTU, both families, pods and nodes.
set -euo pipefail
export CLUSTER_ENCRYPTION=${1-wireguard} CLUSTER_ROUTING=${2-native}
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/two_nodes.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/mtu_matrix.sh"
test_mtu_matrix 1500 1400 9000 1280
finish
