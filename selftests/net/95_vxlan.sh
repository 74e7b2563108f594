#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# Where the underlay routes no pod addresses: ESP inside VXLAN between router IPs, or WireGuard between nodes.
#
#   pod-worker ── kind-worker ─▶ cilium_vxlan [overlay_egress] ─▶ cilium_xfrm0 ─▶ cilium_vxlan ══ VXLAN(ESP) ══ kind-worker2
#                                            └ with WireGuard ─▶ cilium_wg0 ═════════ UDP 51871 ══════════ kind-worker2
#
# The nodes have no route to each other's pods until Sheath makes them. Packets that are too big for cilium_vxlan are
# answered by the host stack, which knows its MTU, and those that are too big for the tunnel by overlay_egress.
set -euo pipefail
export CLUSTER_ENCRYPTION=${1-ipsec} CLUSTER_ROUTING=vxlan
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"

mtu=1394
[[ $CLUSTER_ENCRYPTION == ipsec ]] || mtu=1420

cluster_up
serve pod-worker2
check "$CLUSTER_ENCRYPTION: apply on all four nodes" cluster_apply
check "$CLUSTER_ENCRYPTION: status finds nothing amiss" sheath_on kind-worker2 status

check_match "$CLUSTER_ENCRYPTION: verify says so, too" '^encrypted: 6 of the 6 ' "$(sheath_on kind-worker verify 2>&1 || true)"

capture_start vxlan
for family in 4 6; do
  to=$(pod_ip pod-worker2 "$family")
  check "$CLUSTER_ENCRYPTION, IPv$family: ping" ping_from pod-worker "$to"
  check "$CLUSTER_ENCRYPTION, IPv$family: UDP" traffic pod-worker udp "$to" --count 20
  in_pod pod-worker ip "-$family" route flush cache
  check_equal "$CLUSTER_ENCRYPTION, IPv$family: a packet of 1500 bytes with DF is answered" "path-mtu 1450" \
    "$(traffic pod-worker pmtu "$to" --bytes 1500 2>&1)"
  check_equal "$CLUSTER_ENCRYPTION, IPv$family: so is one of 1450 bytes" "path-mtu $mtu" \
    "$(traffic pod-worker pmtu "$to" --bytes 1450 2>&1)"
  check "$CLUSTER_ENCRYPTION, IPv$family: TCP brings 1 MB there and back" traffic pod-worker tcp "$to" --bytes 1000000
done
capture_stop
check_encrypted "$CLUSTER_ENCRYPTION over VXLAN routing"
check_equal "$CLUSTER_ENCRYPTION: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"
check_equal "$CLUSTER_ENCRYPTION: no outer packet is a fragment" 0 "$(count_outer_fragments "$CAPTURE_FILE")"
check "$CLUSTER_ENCRYPTION: an address of no node is dropped" ping_lost pod-worker 10.244.77.7

before=$(snapshot kind-worker)
check "$CLUSTER_ENCRYPTION: apply a second time" sheath_on kind-worker apply
check_equal "$CLUSTER_ENCRYPTION: apply twice changes nothing" "$before" "$(snapshot kind-worker)"
check "$CLUSTER_ENCRYPTION: unload" sheath_on kind-worker unload
check_fails "$CLUSTER_ENCRYPTION: unload leaves no overlay device" on kind-worker ip link show cilium_vxlan
finish
