#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# The leak matrix, with IPsec: see 72_leaks.sh.
exec "$(dirname "${BASH_SOURCE[0]}")/72_leaks.sh" ipsec
