#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# Keys are rotated under traffic between all pairs of nodes, over the wrap from 15 to 1: nothing is lost, whatever one of
# the nodes does.
#
#   pod-control ─┬─ pod-worker       12 numbered datagrams each 12 ms, of which six are answers: 1,000 packets a second.
#        │  ╲ ╱  │                   An emulated guest with two processors carries about 2,000 before it loses some with
#        │  ╱ ╲  │                   no rotation at all; with real hardware take more.
#   pod-worker3 ─┴─ pod-worker2
#
# SHEATH_SOAK=1: twenty rotations in a row, and the slow and the killed node at every step of its apply.
set -euo pipefail
export CLUSTER_ENCRYPTION=ipsec
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"

readonly INTERVAL_MS=12
rotations=3 slow_steps=() killed_steps=(12)
if [[ -n ${SHEATH_SOAK-} ]]; then
  rotations=20
  mapfile -t slow_steps < <(seq 0 60)
  killed_steps=("${slow_steps[@]}")
fi

# rotate: the next key everywhere, and all nodes have taken it up. Leaves its ID in $id.
rotate() {
  id=$((id % 15 + 1))
  key_install "$(next_key kind-worker)"
  check "key $id: all nodes take it up" cluster_apply
}

# no_states: XfrmInNoStates of all nodes together.
no_states() {
  local node sum=0
  for node in "${NODES[@]}"; do
    sum=$((sum + $(xfrm_errors "$node" XfrmInNoStates)))
  done
  echo "$sum"
}

# What a probe is on the wire: 16 bytes in IPv4 are 92 bytes of ESP with AES-GCM, and nothing else here is so small.
count_probes() { count_frames "$1" 'ip proto 50 and ip[2:2] == 92'; }

# Where a loss was: by pair, and what xfrm has to say of it.
loss_evidence() {
  local log node
  for log in "$CLUSTER_RUN"/mesh-*.log; do note "$(basename "$log" .log), pods by their number in MESH_PODS: $(<"$log")"; done
  for node in "${NODES[@]}"; do
    note "$node: $(on "$node" grep -vE '[[:space:]]0$' /proc/net/xfrm_stat | tr -s '[:space:]' ' ')"
    note "$node: $(sheath_on "$node" status -o json 2>/dev/null | jq -c '[.withheld[]?]')"
  done
  # What came too late for who asked is no port of anybody's.
  for node in "${MESH_PODS[@]}"; do note "$node: $(in_pod "$node" grep '^Udp:' /proc/net/snmp | tr '\n' ' ')"; done
}

# check_unharmed WHAT: the verdict on the mesh and the capture of it.
check_unharmed() {
  local tally
  tally=$(mesh_stop)
  capture_stop
  note "$1: $tally"
  [[ $tally == *' lost 0' ]] || loss_evidence
  check_match "$1: not one datagram was lost, between any two nodes" '^pairs 6 sent [0-9]{3,} lost 0$' "$tally"
  check_encrypted "$1"
  check_equal "$1: no (SPI, sequence number) is on the wire twice" 0 "$(count_repeated_sequences "$CAPTURE_FILE")"
}

# rotate_with NODE VARIABLE STEP: a rotation in which that node's apply meets what the variable says at the step. Exit
# code of that apply. The others go on meanwhile.
rotate_with() {
  local node=$1 variable=$2 step=$3 other code=0 pids=()
  id=$((id % 15 + 1))
  key_install "$(next_key kind-worker)"
  for other in "${NODES[@]}"; do
    [[ $other != "$node" ]] || continue
    sheath_on "$other" apply --wait 120s >"$CLUSTER_RUN/$other/last.log" 2>&1 &
    pids+=($!)
  done
  (export "$variable=$step" && sheath_on "$node" apply --wait 120s) >"$CLUSTER_RUN/$node/last.log" 2>&1 || code=$?
  if ((code == 137)); then
    sheath_on "$node" apply --wait 120s >"$CLUSTER_RUN/$node/last.log" 2>&1 || flunk "the next apply"
  fi
  for other in "${pids[@]}"; do wait "$other" || flunk "the others' apply"; done
  check "$variable=$step: all nodes come to rest" cluster_apply
  check_equal "$variable=$step: key $id alone is in use" "$id" "$(keys_in_use "$node")"
  return "$code"
}

cluster_up
id=14
key_install "$(sheath key generate --id "$id")"
for pod in "${MESH_PODS[@]}"; do serve "$pod"; done
check "apply on all four nodes" cluster_apply
check_equal "key 14 is in use" 14 "$(keys_in_use kind-worker)"

before=$(no_states)
capture_start rotations
mesh_start "$INTERVAL_MS"
pings_start pod-worker "$(pod_ip4 pod-worker2)"
for ((i = 0; i < rotations; i++)); do rotate; done
pings=$(pings_stop)
check_match "not one ping was lost" '^pings sent [0-9]{3,} lost 0$' "$pings"
check_unharmed "$rotations rotations"
check_equal "the last key alone is in use" "$id" "$(keys_in_use kind-worker)"
check_above "there were probes" 0 "$(count_probes "$CAPTURE_FILE")"
check_below "XfrmInNoStates grew by no more than the probes sent" "$(($(count_probes "$CAPTURE_FILE") + 1))" \
  "$(($(no_states) - before))"

for step in "${slow_steps[@]}"; do
  capture_start "slow-$step"
  mesh_start "$INTERVAL_MS"
  rotate_with kind-worker2 SHEATH_SLOW_AT "$step" || flunk "a slow node's apply"
  check_unharmed "kind-worker2 is 3 s slower at step $step"
done

for step in "${killed_steps[@]}"; do
  capture_start "killed-$step"
  mesh_start "$INTERVAL_MS"
  code=0
  rotate_with kind-worker2 SHEATH_KILL_AT "$step" || code=$?
  check_unharmed "kind-worker2 is killed before step $step"
  # A rotation has no more steps than that.
  if ((code == 0)); then break; fi
done
check_above "steps at which it was killed" 1 "$step"

# The control: what all of the above would look like if it were not in order.
mesh_start "$INTERVAL_MS"
pings_start pod-worker "$(pod_ip4 pod-worker2)"
sleep 1
on kind-worker2 ip xfrm state deleteall src "$(node_ip4 kind-worker)"
sleep 1
tally=$(mesh_stop)
pings=$(pings_stop)
note "a receive state deleted early: $tally, $pings"
check_match "the control: a receive state deleted early does lose" ' lost [1-9][0-9]*$' "$tally"
check_match "the control: pings too" ' lost [1-9][0-9]*$' "$pings"
finish
