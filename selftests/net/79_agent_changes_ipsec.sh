#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 79_agent_changes.sh with IPsec.
# One kernel is enough: none; 74_agent.sh stands for it
exec "$(dirname "${BASH_SOURCE[0]}")/79_agent_changes.sh" ipsec
