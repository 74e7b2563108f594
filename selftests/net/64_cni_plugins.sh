#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.12
# Real CNI plugins make the pods: `bridge` and `ptp` with `host-local`, from Debian, without a word about Sheath.
#
#   kind-worker: cni0, a bridge ── pod-a, pod-b          kind-worker2: ptp, a veth for each ── pod-c
#
# With ipMasq the plugin masquerades what a pod sends beyond its own node's pods: then it is node traffic.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/two_nodes.sh"
PODS=()
readonly CNI=/usr/lib/cni

# cni_config NODE bridge|ptp IP-MASQ: both families, the node's own pod CIDRs.
cni_config() {
  cat <<JSON
{"cniVersion": "0.4.0", "name": "pods-$1", "type": "$2", "bridge": "cni0", "isGateway": true, "ipMasq": $3,
 "ipam": {"type": "host-local", "dataDir": "$CLUSTER_RUN/$1/ipam",
          "ranges": [[{"subnet": "$(pod_cidr4 "$1")"}], [{"subnet": "$(pod_cidr6 "$1")"}]],
          "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}}
JSON
}

# cni ADD|DEL NODE POD TYPE IP-MASQ
cni() {
  cni_config "$2" "$4" "$5" | CNI_COMMAND=$1 CNI_CONTAINERID=$3 CNI_NETNS=/run/netns/$CLUSTER_PREFIX$3 CNI_IFNAME=eth0 \
    CNI_PATH=$CNI on "$2" "$CNI/$4"
}

# add_pod NODE POD TYPE IP-MASQ
add_pod() {
  ip netns add "$CLUSTER_PREFIX$2"
  set_sysctls "$2" 0
  cni ADD "$@" >"$CLUSTER_RUN/$2.json"
}

# pod_address POD 4|6: what the plugin gave it.
pod_address() { jq -r --arg family "$2" '.ips[] | select(.version == $family).address | split("/")[0]' "$CLUSTER_RUN/$1.json"; }

# learn_addresses POD...
declare -A POD4=() POD6=()
learn_addresses() {
  local pod
  for pod in "$@"; do POD4[$pod]=$(pod_address "$pod" 4) POD6[$pod]=$(pod_address "$pod" 6); done
}

remove_pods() {
  local pod
  for pod in pod-a pod-b pod-c; do ip netns del "$CLUSTER_PREFIX$pod" 2>/dev/null || true; done
}

# speak WHAT: each way, both families.
speak() {
  check "$1, IPv4: ping" ping_from pod-a "${POD4[pod-c]}"
  check "$1, IPv6: ping" ping_from pod-a "${POD6[pod-c]}"
  check "$1, IPv4: TCP" traffic pod-a tcp "${POD4[pod-c]}" --bytes 300000
  check "$1, IPv6: TCP" traffic pod-a tcp "${POD6[pod-c]}" --bytes 300000
  check "$1, IPv4: and back" ping_from pod-c "${POD4[pod-a]}"
  check "$1, IPv6: and back" ping_from pod-c "${POD6[pod-a]}"
}

cluster_up
trap 'cluster_down; remove_pods' EXIT
check "the plugin bridge makes pods" add_pod kind-worker pod-a bridge false
check "and another" add_pod kind-worker pod-b bridge false
check "the plugin ptp makes a pod" add_pod kind-worker2 pod-c ptp false
learn_addresses pod-a pod-b pod-c
serve pod-c
capture_start cni-clear
check "without Sheath pods speak" ping_from pod-a "${POD4[pod-c]}"
capture_stop
check_above "and are read" 0 "$(count_marked "$CAPTURE_FILE")"

for engine in wireguard ipsec; do
  use_engine "$engine"
  check "$engine: apply" cluster_apply
  capture_start "cni-$engine"
  speak "$engine, bridge and ptp"
  capture_stop
  check_encrypted "$engine, bridge and ptp"
  check_equal "$engine: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"
  check "$engine: pods of one node speak" ping_from pod-a "${POD4[pod-b]}"
done

check "the plugin takes a pod away" cni DEL kind-worker pod-a bridge false
ip netns del "${CLUSTER_PREFIX}pod-a"
check "and makes one that it masquerades" add_pod kind-worker pod-a bridge true
learn_addresses pod-a
check "masqueraded: pods speak" ping_from pod-a "${POD4[pod-c]}"
check_above "masqueraded: that is counted as what it is" 0 "$(metric kind-worker uplink_egress masqueraded)"
all_set nodeEncryption true
check "masqueraded: node encryption" cluster_apply
check "masqueraded: and once more" cluster_apply
capture_start cni-masqueraded
check "masqueraded, IPv4: ping" ping_from pod-a "${POD4[pod-c]}"
check "masqueraded, IPv6: ping" ping_from pod-a "${POD6[pod-c]}"
check "masqueraded, IPv4: TCP" traffic pod-a tcp "${POD4[pod-c]}" --bytes 300000
capture_stop
check_encrypted "masqueraded"
check_equal "masqueraded: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"
finish
