#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# The CNI brings an overlay of its own. Its tunnel devices are covered like uplinks, so no packet of a pod leaves inside
# somebody else's encapsulation.
#
#   pod-worker ─▶ kind-worker ─▶ other0 ─▶ [uplink_egress] ─▶ cilium_wg0 | cilium_xfrm0 ─▶ eth0 ~~ wire
#                                     └─▶ without Sheath: VXLAN, Geneve, GRE, IP in IP, readable
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/two_nodes.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/others_overlay.sh"

# speak WHAT: both families, in short and in long.
speak() {
  local family to
  for family in 4 6; do
    to=$(pod_ip pod-worker2 "$family")
    check "$1, IPv$family: pods speak" ping_from pod-worker "$to"
    check "$1, IPv$family: TCP brings 300 kB there and back" traffic pod-worker tcp "$to" --bytes 300000
  done
}

# in_clear WHAT: the sensitivity check. The same packets, without Sheath, can be read on the wire.
in_clear() {
  local family
  capture_start "clear-$((++captures))"
  for family in 4 6; do check "$1, IPv$family: it carries pods" ping_from pod-worker "$(pod_ip pod-worker2 "$family")"; done
  capture_stop
  check_above "$1, without Sheath: the onlooker reads what pods say" 5 "$(count_marked "$CAPTURE_FILE")"
}
captures=0

# covered WHAT: it is up, and Sheath has been applied.
covered() {
  capture_start "covered-$((++captures))"
  speak "$1"
  capture_stop
  check_encrypted "$1"
  check_equal "$1: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"
  check_equal "$1: no outer packet is a fragment" 0 "$(count_outer_fragments "$CAPTURE_FILE")"
}

cluster_up
serve pod-worker2
# Each kind on one of the two kernels of ours, and all of them on any other and in the soak.
kinds=(vxlan geneve gre gretap ipip ip6tnl ip6gre)
if [[ -z ${SHEATH_SOAK-} ]]; then
  case $(uname -r) in
  6.1.*) kinds=(vxlan geneve gre ip6gre) ;;
  6.12.*) kinds=(vxlan gretap ipip ip6tnl) ;;
  esac
fi
for kind in "${kinds[@]}"; do
  others_overlay_up "$kind"
  in_clear "$kind"
  if [[ $kind == vxlan ]]; then
    check "vxlan, no keys: apply on one node" sheath_on kind-worker apply
    capture_start keyless
    for family in 4 6; do
      check "vxlan, no keys, IPv$family: nothing arrives" ping_lost pod-worker "$(pod_ip pod-worker2 "$family")"
    done
    capture_stop
    check_silent "vxlan, no keys"
  fi
  check "$kind: apply" cluster_apply
  covered "$kind"
  check "$kind: unload" each_node sheath_on unload
  others_overlay_down
done

use_engine ipsec
for kind in vxlan ipip; do
  others_overlay_up "$kind"
  check "IPsec, $kind: apply" cluster_apply
  covered "IPsec, $kind"
  check "IPsec, $kind: unload" each_node sheath_on unload
  others_overlay_down
done
use_engine wireguard

# A device that comes when Sheath is there carries nothing before it is covered, and status says so: an overlay, and an uplink
# beside eth0.
check "later: apply without an overlay" cluster_apply
others_overlay_up vxlan
capture_start later
for family in 4 6; do
  check "later, IPv$family: what pods send by the new overlay is dropped" \
    ping_lost pod-worker "$(pod_ip pod-worker2 "$family")"
done
capture_stop
check_silent "later"
seen=$(sheath_on kind-worker status 2>&1) && code=0 || code=$?
check_equal "later: status calls it degraded" 3 "$code"
check_match "later: and names the device" 'uplink_egress is not attached to other0' "$seen"
check_match "later: and counts what was dropped" '^Backstop: +6 packets dropped' "$seen"
on kind-worker nft flush chain inet sheath to_pods
check_match "later: a backstop without rules is seen" \
  'nft table inet sheath was changed' "$(sheath_on kind-worker status 2>&1 || true)"
check_above "later: without it pods are read in VXLAN" 5 "$(
  capture_start unstopped
  ping_from pod-worker "$(pod_ip4 pod-worker2)" >/dev/null 2>&1 || true
  on kind-worker2 nft delete table inet sheath
  ping_from pod-worker "$(pod_ip4 pod-worker2)" >/dev/null
  capture_stop
  count_marked "$CAPTURE_FILE"
)"
for rp_filter in 0 1 2; do
  for node in "${NODES[@]}"; do
    on "$node" bash -c "for at in all default eth0 other0; do echo $rp_filter >/proc/sys/net/ipv4/conf/\$at/rp_filter; done"
    check "rp_filter $rp_filter: apply on $node" sheath_on "$node" apply
  done
  speak "vxlan, rp_filter $rp_filter"
done
on kind-worker ip link set other0 down
check "a device that is down stays covered" sheath_on kind-worker apply
on kind-worker ip link set other0 up
routes_to_other0() { others_batch vxlan kind-worker kind-worker2 | grep -E "^(route|neigh)" | sed "s, add , replace ,"; }
configure kind-worker routes_to_other0
capture_start up-again
speak "up again"
capture_stop
check_encrypted "up again"
finish
