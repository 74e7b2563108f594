#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 74_agent.sh with IPsec.
# One kernel is enough: none; 74_agent.sh stands for it
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/74_agent.sh" ipsec
