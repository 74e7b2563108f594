#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: none; 87_verify.sh stands for it
# 87_verify.sh with IPsec.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/87_verify.sh" ipsec
