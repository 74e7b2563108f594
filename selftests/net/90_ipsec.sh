#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# Pods of different nodes speak, and the wire carries ESP only; the key is rotated under traffic.
#
#   pod-worker ── kind-worker ═════════ ESP ═════════ kind-worker2 ── pod-worker2
#   10.244.1.195  172.18.0.2      br0, the onlooker     172.18.0.4   10.244.2.254
#
# A packet is redirected into cilium_xfrm0 under the mark of peer and key ID; a policy under that mark sends it through
# the ESP state of this node's own SPI. What comes out of the peer's receive state carries that state's mark, by which
# tunnel_ingress knows whose key opened it.
set -euo pipefail
export CLUSTER_ENCRYPTION=ipsec
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"

cluster_up
serve pod-worker2

capture_start alone
check "apply where no peer has published a session" sheath_on kind-worker apply
check "a peer without a session gets no ping" ping_lost pod-worker "$(pod_ip4 pod-worker2)"
check "nor over IPv6" ping_lost pod-worker "$(pod_ip6 pod-worker2)"
capture_stop
check_silent "no peer has a session"
check_above "the drops are counted as no_key" 5 "$(metric kind-worker uplink_egress no_key)"

check "apply on all four nodes, until all are heard" cluster_apply
check "status finds nothing amiss" sheath_on kind-worker2 status
check_match "status has the Encryption line" 'Encryption: +IPsec \[NodeEncryption: Disabled, cilium_xfrm0 \(Keys: 3, ' \
  "$(sheath_on kind-worker2 status 2>&1)"
check_equal "one key is in use" 3 "$(keys_in_use kind-worker2)"
check_match "policies are under the mark of peer and key, as in the lab" 'mark 0x[0-9a-f]{1,4}3e00/0xffffff00' \
  "$(on kind-worker ip xfrm policy)"
check_equal "the session's file is for its owner only" 600 "$(stat -c %a "$CLUSTER_RUN/kind-worker2/run/ipsec/session-3")"

capture_start pods
for family in 4 6; do
  to=$(pod_ip pod-worker2 "$family")
  check_match "IPv$family: ping is answered, two routers away" 'ttl=62' "$(ping_from pod-worker "$to" 2>&1)"
  check "IPv$family: TCP brings 200 kB there and back unchanged" traffic pod-worker tcp "$to" --bytes 200000
  check "IPv$family: 50 UDP datagrams are answered" traffic pod-worker udp "$to" --count 50
  check "IPv$family: the pod of the fourth node is reached" ping_from pod-worker "$(pod_ip pod-worker3 "$family")"
  in_pod pod-worker ip "-$family" route flush cache
  check_equal "IPv$family: a packet of 1500 bytes with DF is answered: path MTU 1446" "path-mtu 1446" \
    "$(traffic pod-worker pmtu "$to" --bytes 1500 2>&1)"
  check "IPv$family: TCP brings 2 MB there and back" traffic pod-worker tcp "$to" --bytes 2000000
done
capture_stop
check_encrypted "pods speak"
check_equal "pods speak: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"
check_equal "pods speak: no outer packet is a fragment" 0 "$(count_outer_fragments "$CAPTURE_FILE")"
check_equal "pods speak: every SPI ends in the key ID" 0 "$(count_other_spis "$CAPTURE_FILE" 3)"

before=$(snapshot kind-worker)
check "apply a second time" sheath_on kind-worker apply
check_equal "apply twice changes nothing" "$before" "$(snapshot kind-worker)"

capture_start rotations
stream_start pod-worker "$(pod_ip4 pod-worker2)"
for id in 4 5; do
  key_install "$(next_key kind-worker)"
  check "key $id: all nodes take it up" cluster_apply
  check_equal "key $id: it alone is in use" "$id" "$(keys_in_use kind-worker)"
done
check_match "not one datagram was lost in two rotations" ' lost 0 ' "$(stream_stop)"
note "$(cat "$CLUSTER_RUN/stream.log")"
capture_stop
check_encrypted "two rotations"
check_equal "no (SPI, sequence number) is on the wire twice" 0 "$(count_repeated_sequences "$CAPTURE_FILE")"
check_fails "the retired session has left no file" test -e "$CLUSTER_RUN/kind-worker/run/ipsec/session-3"

key_install "$(next_key kind-worker)" kind-worker
output=$(sheath_on kind-worker apply 2>&1)
check_match "a node whose key file is ahead says whom it waits for" 'kind-worker2.*key 5' "$output"
check_equal "and stays where it was" 5 "$(keys_in_use kind-worker)"
key_install "$(<"$CLUSTER_RUN/kind-worker2/keys")"
check "the old file again" sheath_on kind-worker apply

capture_start flushed
stream_start pod-worker3 "$(pod_ip4 pod-worker2)"
on kind-worker ip xfrm state flush
check "states flushed by hand: nothing leaves in clear" ping_lost pod-worker "$(pod_ip4 pod-worker2)"
check "the node draws a new session" sheath_on kind-worker apply
check "all nodes apply again" cluster_apply
check "and the pods speak" ping_from pod-worker "$(pod_ip4 pod-worker2)"
check_match "the other nodes lost nothing by it" ' lost 0 ' "$(stream_stop)"
capture_stop
check_encrypted "states flushed"
check_equal "no (SPI, sequence number) is on the wire twice" 0 "$(count_repeated_sequences "$CAPTURE_FILE")"

check "unload" sheath_on kind-worker unload
check_equal "unload leaves no state" "" "$(on kind-worker ip xfrm state)"
check_equal "nor policy" "" "$(on kind-worker ip xfrm policy)"
check_fails "nor device" on kind-worker ip link show cilium_xfrm0
check_fails "nor session" test -e "$CLUSTER_RUN/kind-worker/run/ipsec"
finish
