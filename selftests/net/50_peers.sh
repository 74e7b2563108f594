#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.12
# A peer comes, changes and goes; the traffic of the others loses no packet.
#
#   pod-worker ── kind-worker ══ datagrams, one each few milliseconds ══ kind-worker2 ── pod-worker2
#                      ╚══ kind-worker3 ── pod-worker3: removed, added again, with a new key, with another pod CIDR
#
# Every datagram carries its number, and its answer is counted: what apply does to kind-worker3 must not touch the
# session, the allowed IPs or the map entries of kind-worker2.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"

cluster_up
serve pod-worker2
check "apply on all nodes" cluster_apply
check "the fourth node's pod is reached" ping_from pod-worker "$(pod_ip4 pod-worker3)"

capture_start peers
stream_start pod-worker "$(pod_ip4 pod-worker2)"

mv "$CLUSTER_RUN/nodes/kind-worker3.sheath.json" "$CLUSTER_RUN/away.json"
nodes_write kind-control-plane kind-worker kind-worker2
check "apply: a peer has gone" sheath_on kind-worker apply
check_equal "the tunnel has two peers" 2 "$(on kind-worker wg show cilium_wg0 peers | wc -l)"
check "its pod is not reached any more" ping_lost pod-worker "$(pod_ip4 pod-worker3)"

nodes_write "${NODES[@]}"
mv "$CLUSTER_RUN/away.json" "$CLUSTER_RUN/nodes/kind-worker3.sheath.json"
check "apply: the peer is back" sheath_on kind-worker apply
check "its pod is reached again" ping_from pod-worker "$(pod_ip4 pod-worker3)"

rm "$CLUSTER_RUN/kind-worker3/state/wireguard.key"
check "the peer makes a new key" sheath_on kind-worker3 apply
check "apply: the peer has a new key" sheath_on kind-worker apply
check "its pod is reached by the new key" ping_from pod-worker "$(pod_ip4 pod-worker3)"

NODE_NET[kind-worker3]=7
nodes_write "${NODES[@]}"
check "the peer has another pod CIDR" sheath_on kind-worker3 apply
check "apply: the peer has another pod CIDR" sheath_on kind-worker apply
check_match "the tunnel takes the new CIDR" '10\.244\.7\.0/24' "$(on kind-worker wg show cilium_wg0 allowed-ips)"
check_no_match "and the old one no more" '10\.244\.3\.0/24' "$(on kind-worker wg show cilium_wg0 allowed-ips)"
check "the old CIDR is not reached" ping_lost pod-worker 10.244.3.33

check_match "no datagram of the others was lost" ' lost 0 ' "$(stream_stop)"
note "$(cat "$CLUSTER_RUN/stream.log")"
capture_stop
check_encrypted "peers come and go"
finish
