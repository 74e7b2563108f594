#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.12
# kill -9 between any two steps of apply: no plaintext, and the next apply finishes.
#
#   kind-worker: virgin ─▶ apply, killed before step N ─▶ pods try to speak ─▶ apply, to its end ─▶ they do ─▶ unload
#
# One capture watches all of it. While the node is virgin nobody speaks, so a single frame of a pod in clear is one that
# left at a moment when the node was half set up. Before step 0 nothing is done yet: only the next apply is looked at.
set -euo pipefail
# Every step but with IPsec, where that takes a quarter of an hour: there, all of them with SHEATH_SOAK=1.
STRIDE=${STRIDE-1}
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"

# Without a session of its peers IPsec gets nowhere: they apply too.
finish_apply() {
  if [[ $CLUSTER_ENCRYPTION == ipsec ]]; then sheath_on kind-worker apply && cluster_apply; else sheath_on kind-worker apply; fi
}

killed_at() {
  local step=$1 code=0
  SHEATH_KILL_AT=$step sheath_on kind-worker apply >"$CLUSTER_RUN/killed.log" 2>&1 || code=$?
  if ((code == 0)); then return 1; fi
  check_equal "killed before step $step" 137 "$code"
  if ((step > 0)); then
    # Both ways, answered or not: what matters is on the wire.
    ping_lost pod-worker "$(pod_ip4 pod-worker2)" >/dev/null || true
    in_pod pod-worker ping -n -c 1 -W 1 -p "$MARKER_HEX" "$(pod_ip6 pod-worker2)" >/dev/null || true
  fi
  check "step $step: the next apply finishes" finish_apply
  check "step $step: the pods speak" ping_from pod-worker "$(pod_ip4 pod-worker2)"
  sheath_on kind-worker unload >/dev/null 2>&1
}

cluster_up
check "apply on all nodes" cluster_apply
sheath_on kind-worker unload
capture_start killed
step=0
while ((step < 60)) && killed_at "$step"; do step=$((step + STRIDE)); done
capture_stop
check_above "apply has steps to be killed at" 8 "$step"
check_encrypted "apply was killed at steps up to $step"
finish
