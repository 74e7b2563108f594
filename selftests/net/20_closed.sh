#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What cannot be encrypted is dropped: the twin of 10_encrypted without keys.
#
#   pod-worker ── kind-worker ──✗ br0, the onlooker        kind-worker2 ── pod-worker2
#                      ▲                ▲
#                 Sheath alone     outside: forges packets of pod-worker2
#
# Only kind-worker runs Sheath, so no peer has a key. Every packet from its pods to the cluster ends at uplink_egress;
# every plaintext packet that claims to be from a remote pod ends at uplink_ingress.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"

# forged FAMILY: `outside` sends as pod-worker2 to pod-worker. Prints how many requests the pod has seen of it.
forged() {
  local before from to
  before=$(echoes_seen pod-worker) from=$(pod_ip pod-worker2 "$1") to=$(pod_ip pod-worker "$1")
  in_netns outside ping -n -c 3 -i 0.05 -W 1 -I "$from" "$to" >/dev/null || true
  echo $(($(echoes_seen pod-worker) - before))
}

cluster_up
serve pod-worker2
in_netns outside ip addr add "$(pod_ip4 pod-worker2)/32" dev lo
in_netns outside ip addr add "$(pod_ip6 pod-worker2)/128" dev lo nodad

check_equal "a forged packet would arrive without Sheath" 3 "$(forged 4)"
check "apply where no peer has a key" sheath_on kind-worker apply
check_exit "status calls it degraded" 3 sheath_on kind-worker status

capture_start alone
for family in 4 6; do
  check "IPv$family: a peer without a key gets no ping" ping_lost pod-worker "$(pod_ip pod-worker2 "$family")"
  check_fails "IPv$family: nor UDP" traffic pod-worker udp "$(pod_ip pod-worker2 "$family")" --patience-ms 300
  check_fails "IPv$family: nor TCP" timeout 1 sheath_in_netns "/run/netns/${CLUSTER_PREFIX}pod-worker" \
    sheath_traffic tcp "$(pod_ip pod-worker2 "$family")" --port "$TRAFFIC_PORT" --marker "$MARKER"
done
check "an address of the cluster that no node has gets nothing" ping_lost pod-worker 10.244.9.9
check "nor over IPv6" ping_lost pod-worker fd00:10:244:9::9
capture_stop
check_silent "no peer has a key"
check_above "the drops are counted as no_key" 7 "$(metric kind-worker uplink_egress no_key)"
check_above "the others as unknown_node" 5 "$(metric kind-worker uplink_egress unknown_node)"
check "the world is reached all the same" ping_from pod-worker 192.0.2.1

check_equal "a forged packet of a remote pod does not arrive" 0 "$(forged 4)"
check_equal "nor over IPv6" 0 "$(forged 6)"
check_above "both are counted as plaintext_ingress" 5 "$(metric kind-worker uplink_ingress plaintext_ingress)"

check "permissive mode, on the running node" sheath_on kind-worker apply --mode permissive
check_equal "permissive: plaintext from a remote pod arrives" 3 "$(forged 4)"
check "permissive: pods speak in clear" ping_from pod-worker "$(pod_ip4 pod-worker3)"
check_above "permissive: plaintext is counted" 2 "$(metric kind-worker uplink_egress plaintext_passed)"
check "strict mode again" sheath_on kind-worker apply
check_equal "strict again: a forged packet does not arrive" 0 "$(forged 4)"

in_netns outside ip addr del "$(pod_ip4 pod-worker2)/32" dev lo
in_netns outside ip addr del "$(pod_ip6 pod-worker2)/128" dev lo
check "all nodes join" cluster_apply
check "now the peer is reached" ping_from pod-worker "$(pod_ip4 pod-worker2)"

rm "$CLUSTER_RUN/nodes/kind-worker2.sheath.json"
check "apply after a peer's key was withdrawn" sheath_on kind-worker apply
capture_start withdrawn
check "the peer without a key is not reached any more" ping_lost pod-worker "$(pod_ip4 pod-worker2)"
check "the other peers are" ping_from pod-worker "$(pod_ip4 pod-worker3)"
capture_stop
check_encrypted "a key was withdrawn"
finish
