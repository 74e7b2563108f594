#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# Encryption comes to a cluster that runs, node by node, and no packet is lost: accept both, send encrypted, close.
#
# 88_rollout.sh [wireguard|ipsec]
set -euo pipefail
export CLUSTER_ENCRYPTION=${1-wireguard}
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"

INTERVAL_MS=24 # twelve packets an interval

# pass_all WHAT MODE [FLAGS...]: apply on each node in turn.
pass_all() {
  local what=$1 mode=$2 node
  shift 2
  for node in "${NODES[@]}"; do
    check "$CLUSTER_ENCRYPTION, $what: $node" sheath_on "$node" apply --mode "$mode" "$@"
  done
}

cluster_up
for pod in "${MESH_PODS[@]}"; do serve "$pod"; done
# Adding this qdisc to a device in use loses what is sent in that instant, on every kernel; those with tcx do without.
for node in "${NODES[@]}"; do on "$node" tc qdisc add dev eth0 clsact; done
mesh_start "$INTERVAL_MS"
sleep 1

pass_all "accept both" permissive
check_above "$CLUSTER_ENCRYPTION, accept both: plaintext is sent and counted" 0 \
  "$(metric kind-worker uplink_egress plaintext_passed)"

check_equal "$CLUSTER_ENCRYPTION, accept both: the first node says what strict mode would drop of what it sends, by peer" \
  "kind-worker no_key kind-worker2 no_key kind-worker3 no_key" \
  "$(sheath_on kind-control-plane status -o json 2>/dev/null |
    jq -r '[.withheld[] | select(.program == "uplink_egress" and .dropped == false) | .node + " " + .reason] | sort | join(" ")')"
check_match "$CLUSTER_ENCRYPTION, accept both: and in words" 'uplink_egress +no_key +kind-worker2 ' \
  "$(sheath_on kind-control-plane status 2>/dev/null | sed -n '/^Strict mode would drop/,/^$/p')"
check_match "$CLUSTER_ENCRYPTION, accept both: the first node says whom it waits for" 'kind-worker3' \
  "$(sheath_on kind-control-plane apply --mode permissive -o json 2>/dev/null | jq -r '(.waiting_for_key + .waits)[]')"

check "$CLUSTER_ENCRYPTION, send encrypted: all nodes come to rest" each_node sheath_on apply --mode permissive --wait 60s
capture_start rollout
sleep 2
capture_stop
check_encrypted "$CLUSTER_ENCRYPTION, send encrypted"

pass_all close strict
tally=$(mesh_stop)
note "$CLUSTER_ENCRYPTION: $tally"
check_match "$CLUSTER_ENCRYPTION: not one datagram was lost, between any two nodes" ' lost 0$' "$tally"
finish
