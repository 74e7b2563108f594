#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# A ClusterIP that iptables translates, as kube-proxy does.
#
#   pod-worker ─▶ 10.96.0.10:80 ── kind-worker: PREROUTING DNAT ─▶ 10.244.2.254:7000 ══ WireGuard ══ pod-worker2
#        ◀── from 10.96.0.10:80 ── conntrack translates back ◀── from the tunnel, through the stack
#
# Encryption has to come after the translation, and delivery before the translation back: below and above netfilter. A
# fast path around netfilter would break both, so it is refused while such rules exist.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"

# rules A|D: adds or deletes what kube-proxy would have, both families. Its masquerade mark is 0x4000.
rules() {
  local iptables service to protocol
  for iptables in iptables ip6tables; do
    if [[ $iptables == iptables ]]; then
      service=10.96.0.10 to=$(pod_ip4 pod-worker2)
    else
      service=fd00:96::10 to=[$(pod_ip6 pod-worker2)]
    fi
    for protocol in tcp udp; do
      on kind-worker "$iptables" -w -t nat "-$1" PREROUTING -d "$service" -p "$protocol" --dport 80 \
        -j DNAT --to-destination "$to:7000"
      on kind-worker "$iptables" -w -t mangle "-$1" PREROUTING -d "$service" -p "$protocol" --dport 80 \
        -j MARK --or-mark 0x4000
    done
  done
}

service_answers() {
  local service=$1
  check "$service: TCP is answered" traffic pod-worker tcp "$service" --port 80 --bytes 100000
  check "$service: UDP is answered" traffic pod-worker udp "$service" --port 80 --count 20
}

cluster_up
serve pod-worker2
check "apply on all nodes" cluster_apply
rules A

capture_start services
service_answers 10.96.0.10
service_answers fd00:96::10
check "the pod is reached directly as well" ping_from pod-worker "$(pod_ip4 pod-worker2)"
capture_stop
check_encrypted "services"
check_equal "services: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"

on kind-worker iptables -w -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
audit_start kind-worker
check "masqueraded, it is node traffic, and answered" traffic pod-worker tcp 10.96.0.10 --port 80
audit_stop
check_above "and counted as what it is" 0 "$(metric kind-worker uplink_egress masqueraded)"
check_match "the audit names it" \
  "^masqueraded leaving on eth0: TCP, $(node_ip4 kind-worker) to $(pod_ip4 pod-worker2):7000\$" "$AUDIT"
check_equal "the audit does not call it a leak: node encryption is off" 0 "$AUDIT_CODE"
for node in kind-worker kind-worker2; do config_set "$node" nodeEncryption true; done
check "node encryption: apply" cluster_apply
check "node encryption: and once more" cluster_apply
capture_start masqueraded
check "node encryption: the masqueraded is answered" traffic pod-worker tcp 10.96.0.10 --port 80 --bytes 100000
capture_stop
check_encrypted "node encryption, masqueraded"
check_equal "node encryption: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"
for node in kind-worker kind-worker2; do config_set "$node" nodeEncryption false; done
check "node encryption off: apply" cluster_apply
check "node encryption off: and once more" cluster_apply
on kind-worker iptables -w -t nat -D POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE

before=$(snapshot kind-worker)
config_set kind-worker fastPath true
refusal=$(sheath_on kind-worker apply 2>&1) && code=0 || code=$?
check_above "the fast path is refused while netfilter translates" 0 "$code"
check_match "the refusal says why" 'fastPath|fast path' "$refusal"
check_equal "the refusal changed nothing" "$before" "$(snapshot kind-worker)"
check "pods still speak" ping_from pod-worker "$(pod_ip4 pod-worker2)"

rules D
check "without the rules the fast path is taken" sheath_on kind-worker apply
config_set kind-worker2 fastPath true
check "at the other node too" sheath_on kind-worker2 apply
check_match "and the TTL stays 64" 'ttl=64' "$(ping_from pod-worker "$(pod_ip4 pod-worker2)" 2>&1)"
finish
