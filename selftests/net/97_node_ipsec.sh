#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: none; 85_node_wireguard.sh stands for it
# Node encryption with IPsec: what nodes say to each other and to pods goes through cilium_xfrm0.
set -euo pipefail
export CLUSTER_ENCRYPTION=ipsec
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/node_traffic.sh"

test_node_encryption 1446
finish
