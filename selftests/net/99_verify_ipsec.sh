#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 87_verify.sh with IPsec.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/87_verify.sh" ipsec
