#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 74_agent.sh with IPsec.
# One kernel is enough: 6.1
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/74_agent.sh" ipsec
