#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where traffic is, and is not, encrypted: ipsec, vxlan routing.
# One kernel is enough: 6.12
set -euo pipefail
export CLUSTER_ENCRYPTION=ipsec CLUSTER_ROUTING=vxlan
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/where.sh"

test_where
finish
