#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 74_agent.sh with IPsec.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/74_agent.sh" ipsec
