#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.12
# The leak matrix: whatever happens to a node while all pods speak without a pause, nothing of theirs is on the wire in clear.
#
#   pod-worker, pod-local ◀─ pings, 25 a second and direction, both families ─▶ pod-worker2
#           └─▶ kind-worker: killed, changed, rebooted, its devices lost … ══ the onlooker ══ kind-worker2
#
# Each row has a capture of its own. That the onlooker would see a leak shows at the end: after `unload` he does.
set -euo pipefail
export CLUSTER_ENCRYPTION=${1-wireguard}
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/two_nodes.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"

speakers=()
# Each pod speaks until the end of the test; not to be heard is no reason to stop. Started without a function
# between: the process ID has to be ping's own.
start_speaking() {
  local from to
  for from in pod-worker pod-local; do
    for to in "$(pod_ip4 pod-worker2)" "$(pod_ip6 pod-worker2)" 10.244.9.9; do
      sheath_in_netns "/run/netns/$CLUSTER_PREFIX$from" ping -q -i 0.04 -p "$MARKER_HEX" "$to" >/dev/null 2>&1 &
      speakers+=($!)
    done
  done
  for to in "$(pod_ip4 pod-worker)" "$(pod_ip6 pod-local)"; do
    sheath_in_netns "/run/netns/${CLUSTER_PREFIX}pod-worker2" ping -q -i 0.04 -p "$MARKER_HEX" "$to" >/dev/null 2>&1 &
    speakers+=($!)
  done
}

# both_apply WHAT: until both nodes have done their part.
both_apply() { check "$1: apply" cluster_apply; }

heard() { ping_from pod-worker "$(pod_ip4 pod-worker2)" && ping_from pod-worker "$(pod_ip6 pod-worker2)"; }

# row WHAT FUNCTION: all in it, and some time after it, under the onlooker's eyes. Then pods reach each other again.
row() {
  local what="$CLUSTER_ENCRYPTION, $1"
  capture_start "leak-$((++rows))"
  "$2" "$what"
  check "$what: pods reach each other" eventually 20 heard
  capture_stop
  check_encrypted "$what"
}
rows=0

# What a node's uplink loses when it goes down or away: addresses and routes, here by the name of the device.
readdress() {
  node_batch kind-worker | grep -E '^(addr|route) add .* dev eth0|^route add default' | sed "s/ add / replace /; s/eth0/$1/" |
    ip -n "${CLUSTER_PREFIX}kind-worker" -force -batch - 2>/dev/null || true
}

killed() {
  local step code
  on kind-worker ip link del "$([[ $CLUSTER_ENCRYPTION == ipsec ]] && echo cilium_xfrm0 || echo cilium_wg0)"
  for ((step = 1; step < 60; step += 3)); do
    code=0
    SHEATH_KILL_AT=$step sheath_on kind-worker apply >/dev/null 2>&1 || code=$?
    ((code == 137)) || break
  done
  check_above "$1: steps of apply that it was killed at" 2 "$step"
  both_apply "$1"
}

replaced() {
  all_set nodeEncryption true && both_apply "$1"
  all_set nodeEncryption false && both_apply "$1, and back"
}

peer_goes() {
  local object=$CLUSTER_RUN/nodes/kind-worker2.sheath.json
  nodes_write kind-worker
  mv "$object" "$CLUSTER_RUN/kept.json"
  check "$1: apply" sheath_on kind-worker apply
  check "$1: nobody is reached" ping_lost pod-worker "$(pod_ip4 pod-worker2)"
  nodes_write "${NODES[@]}"
  mv "$CLUSTER_RUN/kept.json" "$object"
  # With IPsec it has a new session, without peers the old one was over: that is published first.
  sheath_on kind-worker apply >/dev/null 2>&1 || true
  both_apply "$1, and comes back"
}

rekeyed() {
  if [[ $CLUSTER_ENCRYPTION == ipsec ]]; then
    key_install "$(next_key kind-worker)"
  else
    rm "$CLUSTER_RUN/kind-worker2/state/wireguard.key"
  fi
  both_apply "$1"
}

rebooted() {
  node_reboot kind-worker down
  sheath_on kind-worker apply >/dev/null 2>&1 || true
  port_up kind-worker
  both_apply "$1"
}

link_flaps() {
  on kind-worker ip link set eth0 down
  on kind-worker ip link set eth0 up
  readdress eth0
  both_apply "$1"
}

# rename_to NAME
rename_to() {
  on kind-worker ip link set "$old" down
  on kind-worker ip link set "$old" name "$1"
  on kind-worker ip link set "$1" up
  readdress "$1"
  config_set kind-worker devices "[$1]"
  old=$1
}

renamed() {
  local old=eth0
  rename_to uplink0
  check "$1: before apply knows: pods reach each other" eventually 20 heard
  both_apply "$1"
  rename_to eth0
  both_apply "$1, and back"
}

recreated() {
  on kind-worker ip link del eth0
  node_links kind-worker | head -n 1 | ip -batch -
  ip -n "${CLUSTER_PREFIX}underlay" link set "${NODE_PORT[kind-worker]}" master br0 up
  on kind-worker ip link set eth0 up
  readdress eth0
  check "$1: before apply knows: nobody is reached" ping_lost pod-worker "$(pod_ip4 pod-worker2)"
  both_apply "$1"
}

new_pod() {
  all_set fastPath true && both_apply "$1: the fast path"
  ip netns add "${CLUSTER_PREFIX}pod-new"
  ip link add eth0 netns "${CLUSTER_PREFIX}pod-new" type veth peer name lxc_pod-new netns "${CLUSTER_PREFIX}kind-worker" \
    address "$HOST_MAC"
  POD_NODE[pod-new]=kind-worker POD_HOST[pod-new]=77
  configure pod-new pod_batch pod-new
  printf '%s\n' "link set lxc_pod-new up" "route add 10.244.1.77/32 dev lxc_pod-new" \
    "route add fd00:10:244:1::77/128 dev lxc_pod-new" |
    ip -n "${CLUSTER_PREFIX}kind-worker" -batch -
  check "$1: it speaks before apply knows it" ping_from pod-new "$(pod_ip4 pod-worker2)"
  both_apply "$1"
  check "$1: and after" ping_from pod-new "$(pod_ip6 pod-worker2)"
  all_set fastPath false && both_apply "$1: and without the fast path"
}

map_full() {
  local code=0 said
  jq -n '{apiVersion: "v1", kind: "Node", metadata: {name: "large"}, spec: {podCIDRs: [range(66000) |
      "10.\(128 + (. / 65536 | floor)).\((. / 256 | floor) % 256).\(. % 256)/32"]},
    status: {addresses: [{type: "InternalIP", address: "172.18.0.9"}]}}' >"$CLUSTER_RUN/nodes/large.json"
  said=$(sheath_on kind-worker apply 2>&1) || code=$?
  check_equal "$1: apply refuses" 2 "$code"
  check_match "$1: and says what is too much" 'the cluster has [0-9]+ IPv4 pod CIDRs, and the maps hold 65536' "$said"
  rm "$CLUSTER_RUN/nodes/large.json"
  both_apply "$1, and no more"
}

unloaded() {
  check "$1: unload" sheath_on kind-worker unload
  both_apply "$1, and applied again"
}

cluster_up
trap 'kill "${speakers[@]}" 2>/dev/null || true; ip netns del "${CLUSTER_PREFIX}pod-new" 2>/dev/null || true; cluster_down' EXIT
check "apply" cluster_apply
start_speaking
# What has to do with the engine is played with both, the rest with one of them; in a soak all of it with both.
rows_of_wireguard() {
  row "a new pod" new_pod
  row "it is rebooted" rebooted
  row "its link goes down and up" link_flaps
  row "more pod CIDRs than the map holds" map_full
}
rows_of_ipsec() {
  row "its programs are replaced" replaced
  row "its uplink gets another name" renamed
  row "its uplink is made anew" recreated
}
row "killed while it mends a lost tunnel device" killed
row "a peer goes" peer_goes
row "a peer has a new key" rekeyed
[[ -z ${SHEATH_SOAK-} && $CLUSTER_ENCRYPTION != wireguard ]] || rows_of_wireguard
[[ -z ${SHEATH_SOAK-} && $CLUSTER_ENCRYPTION != ipsec ]] || rows_of_ipsec

capture_start unloaded
unloaded "unloaded"
capture_stop
check_above "$CLUSTER_ENCRYPTION, the control: after unload the onlooker reads what pods say" 5 \
  "$(count_plaintext "$CAPTURE_FILE")"
finish
