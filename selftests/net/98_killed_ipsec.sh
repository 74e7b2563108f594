#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: none; 70_killed.sh stands for it
# 70_killed.sh with IPsec: every seventh boundary between steps, every one with SHEATH_SOAK=1.
set -euo pipefail
export CLUSTER_ENCRYPTION=ipsec
STRIDE=7
[[ -z ${SHEATH_SOAK-} ]] || STRIDE=1
# shellcheck source=70_killed.sh
source "$(dirname "${BASH_SOURCE[0]}")/70_killed.sh"
