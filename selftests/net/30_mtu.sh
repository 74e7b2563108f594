#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.12
# No packet is too big in silence: pods have MTU 1500, the tunnel 1420.
#
#   pod-worker ──1500── kind-worker ══1420══ kind-worker2 ──1500── pod-worker2
#        ◀── ICMP frag-needed / ICMPv6 packet-too-big: 1420
#
# Through the stack it is uplink_egress that answers, on the fast path pod_egress. The pod's kernel learns the path MTU,
# TCP goes on with smaller segments, and no outer packet is ever a fragment.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"

# large_packets PATH FAMILY MEGABYTES
large_packets() {
  local path=$1 family=$2 to
  to=$(pod_ip pod-worker2 "$family")
  in_pod pod-worker ip "-$family" route flush cache
  check_equal "$path, IPv$family: a packet of 1500 bytes with DF is answered: path MTU 1420" "path-mtu 1420" \
    "$(traffic pod-worker pmtu "$to" --bytes 1500 2>&1)"
  in_pod pod-worker ip "-$family" route flush cache
  check "$path, IPv$family: TCP brings $3 MB there and back" \
    traffic pod-worker tcp "$to" --bytes "$3"000000 --patience-ms 20000
}

by_path() {
  capture_start "$1"
  large_packets "$1" 4 10
  large_packets "$1" 6 2
  capture_stop
  check_encrypted "$1"
  check_equal "$1: no outer packet is a fragment" 0 "$(count_outer_fragments "$CAPTURE_FILE")"
}

cluster_up
serve pod-worker2
check "apply on all nodes" cluster_apply
by_path stack
for node in "${NODES[@]}"; do config_set "$node" fastPath true; done
check "apply the fast path" each_node sheath_on apply
check_match "fast path: the TTL stays 64" 'ttl=64' "$(ping_from pod-worker "$(pod_ip4 pod-worker2)" 2>&1)"
check_match "fast path, IPv6: the hop limit stays 64" 'ttl=64' "$(ping_from pod-worker "$(pod_ip6 pod-worker2)" 2>&1)"
by_path fast-path
check_above "fast path: pod_egress did it" 100 "$(metric kind-worker pod_egress encrypted)"
finish
