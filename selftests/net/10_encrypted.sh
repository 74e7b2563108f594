#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pods of different nodes speak, and the wire carries WireGuard only.
#
#   pod-worker ── kind-worker ══════ WireGuard ══════ kind-worker2 ── pod-worker2
#   10.244.1.195  172.18.0.2      br0, the onlooker     172.18.0.4   10.244.2.254
#
# A packet leaves the pod, is routed by the node towards eth0, is caught there by uplink_egress and redirected into
# cilium_wg0. The outer packet goes over eth0; at the other end what comes out of cilium_wg0 is routed to the pod.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"

talk() {
  local family=$1 to
  to=$(pod_ip pod-worker2 "$family")
  check_match "IPv$family: ping is answered, two routers away" 'ttl=62' "$(ping_from pod-worker "$to" 2>&1)"
  check "IPv$family: ping the other way" ping_from pod-worker2 "$(pod_ip pod-worker "$family")"
  check "IPv$family: TCP brings 200 kB there and back unchanged" traffic pod-worker tcp "$to" --bytes 200000
  check "IPv$family: 50 UDP datagrams are answered" traffic pod-worker udp "$to" --count 50
  check_match "IPv$family: the ICMP error of the other pod comes back" 'refused 1$' \
    "$(traffic pod-worker udp "$to" --port 9 2>&1 || true)"
  check "IPv$family: the control plane's pod is reached" ping_from pod-worker "$(pod_ip pod-control "$family")"
  check "IPv$family: the pod of the fourth node is reached" ping_from pod-worker "$(pod_ip pod-worker3 "$family")"
}

cluster_up
serve pod-worker2

capture_start before
check "without Sheath the pods speak" ping_from pod-worker "$(pod_ip4 pod-worker2)"
check "without Sheath they speak IPv6" ping_from pod-worker "$(pod_ip6 pod-worker2)"
capture_stop
check_equal "the onlooker would notice: 12 frames of pods in clear" 12 "$(count_pod_frames "$CAPTURE_FILE")"
check_above "the onlooker would notice marked payload" 0 "$(count_marked "$CAPTURE_FILE")"

check "apply on all four nodes" cluster_apply
check "status finds nothing amiss" sheath_on kind-worker2 status
check_match "status has the Encryption line" \
  'Encryption: +Wireguard +\[NodeEncryption: Disabled, cilium_wg0 \(Pubkey: [^ ]{43}=, Port: 51871, Peers: 3\)\]' \
  "$(sheath_on kind-worker2 status 2>&1)"
check_equal "the published annotation is the tunnel's key" "$(on kind-worker2 wg show cilium_wg0 public-key)" \
  "$(jq -r '.metadata.annotations["network.cilium.io/wg-pub-key"]' "$CLUSTER_RUN/nodes/kind-worker2.sheath.json")"
check_equal "the key file is for its owner only" 600 "$(stat -c %a "$CLUSTER_RUN/kind-worker2/state/wireguard.key")"

capture_start pods
talk 4
talk 6
capture_stop
check_encrypted "pods speak"
check_equal "pods speak: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"
check_above "what was encrypted is counted" 100 "$(metric kind-worker uplink_egress encrypted)"
check_above "what was decrypted is counted" 100 "$(metric kind-worker tunnel_ingress decrypted)"

check "a pod of the same node is reached" ping_from pod-worker "$(pod_ip4 pod-local)"
check "the world is reached" ping_from pod-worker 192.0.2.1
check "the world is reached over IPv6" ping_from pod-worker 2001:db8::1

before=$(snapshot kind-worker)
check "apply a second time" sheath_on kind-worker apply
check_equal "apply twice changes nothing: keys, peers, maps, programs, links, routes" "$before" "$(snapshot kind-worker)"
finish
