#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# What an attacker on the wire can do: send again what he captured, and change bits of what he holds back. Nothing of it
# is accepted, and it is counted.
#
#   pod-worker ── kind-worker ──▶ br0, where he listens ──▶ to-worker2, where he sends ──▶ kind-worker2 ── pod-worker2
set -euo pipefail
export CLUSTER_ENCRYPTION=ipsec
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"
esp() { in_netns underlay "$HARNESS_DIR/esp.py" "$@"; }

# only_towards FILE: the ESP packets of a capture from kind-worker to kind-worker2, as a capture.
only_towards() {
  tcpdump -n -r "$1" -w "$1.towards" "ip proto 50 and src $(node_ip4 kind-worker) and dst $(node_ip4 kind-worker2)" 2>/dev/null
  echo "$1.towards"
}

# pings COUNT: from pod-worker to pod-worker2, as fast as they are answered or 5 ms apart.
pings() { in_pod pod-worker ping -q -n -c "$1" -i 0.005 -W 1 "$(pod_ip4 pod-worker2)" >/dev/null 2>&1 || true; }

errors() { xfrm_errors kind-worker2 "$1"; }

# replayed WHAT COUNTER: 20 of the first packets once more; none arrives, and the counter rises by 20.
replayed() {
  local before echoes
  before=$(errors "$2") echoes=$(echoes_seen pod-worker2)
  check_equal "$1: 20 packets are sent again" 20 "$(esp send "$held" to-worker2 0 20)"
  eventually 5 counted "$2" $((before + 20)) || true
  check_equal "$1: $2 rises by exactly that many" $((before + 20)) "$(errors "$2")"
  check_equal "$1: the pod got none of them" "$echoes" "$(echoes_seen pod-worker2)"
}
counted() { (($(errors "$1") >= $2)); }
arrived() { (($(echoes_seen pod-worker2) >= $1)); }

# hold COUNT: pings that the bridge does not deliver, in a capture.
hold() {
  in_netns underlay bridge link set dev to-worker2 state 0
  capture_start held
  pings "$1"
  capture_stop
  in_netns underlay bridge link set dev to-worker2 state 3
  held=$(only_towards "$CAPTURE_FILE")
}

cluster_up
check "apply on all four nodes" cluster_apply
check "the pods speak" ping_from pod-worker "$(pod_ip4 pod-worker2)"

capture_start delivered
pings 30
capture_stop
held=$(only_towards "$CAPTURE_FILE")
replayed "in the window" XfrmInStateSeqError
pings 1200
# With extended sequence numbers, what is too old for the window is taken for one of the next 2^32: its ICV is wrong.
replayed "far behind the window" XfrmInStateProtoError
check "the pods still speak" ping_from pod-worker "$(pod_ip4 pod-worker2)"

hold 30
echoes=$(echoes_seen pod-worker2)
names=$(esp flip "$held" to-worker2)
sleep 1
check_equal "a bit turned over in each of 23 fields: none is accepted" "$echoes" "$(echoes_seen pod-worker2)"
check_equal "fields that were tried" 23 "$(wc -l <<<"$names")"
check_equal "what was held back and is sent unchanged is accepted: 5 of 5" 5 "$(esp send "$held" to-worker2 24 5)"
check "they arrive" eventually 5 arrived $((echoes + 5))
check "the pods still speak" ping_from pod-worker "$(pod_ip4 pod-worker2)"

hold 30
key_install "$(next_key kind-worker)"
check "the key is rotated" cluster_apply
replayed "held back over a rotation" XfrmInNoStates
check "the pods speak under the new key" ping_from pod-worker "$(pod_ip4 pod-worker2)"
finish
