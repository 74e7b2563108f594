#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 79_agent_changes.sh with IPsec.
# One kernel is enough: 6.12
exec "$(dirname "${BASH_SOURCE[0]}")/79_agent_changes.sh" ipsec
