#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: none; 88_rollout.sh stands for it
# 88_rollout.sh with IPsec.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/88_rollout.sh" ipsec
