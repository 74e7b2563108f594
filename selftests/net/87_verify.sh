#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.12
# `sheath verify`: what it says, held against the onlooker, and against everything that can be wrong.
#
# 87_verify.sh [wireguard|ipsec]; wireguard has the whole story, ipsec what is different there.
set -euo pipefail
export CLUSTER_ENCRYPTION=${1-wireguard}
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
[[ $CLUSTER_ENCRYPTION == ipsec ]] && ciphertext=ESP || ciphertext=WireGuard

# What verify sends, in the clear; in nobody's tunnel.
PROBES='(ip proto 253 or ip6 proto 253)'

# verify SENTENCE CODE REGEX [ARGUMENTS...]: its exit code, and a line of what it prints. Sets VERIFIED.
verify() {
  local code=0
  VERIFIED=$(sheath_on kind-worker verify --timeout 2s "${@:4}" 2>&1) || code=$?
  check_equal "$CLUSTER_ENCRYPTION, $1: exit code $2" "$2" "$code"
  check_match "$CLUSTER_ENCRYPTION, $1" "$3" "$VERIFIED"
}

cluster_up
serve pod-worker2

capture_start verify-off
verify "never applied" 3 'Sheath is not applied on this node' kind-worker2 kind-worker3
capture_stop
check_above "the onlooker saw it, too" 1 "$(count_frames "$CAPTURE_FILE" "$PROBES")"

sheath_on kind-worker verify --watch --for 4s -o json >"$CLUSTER_RUN/audit.json" 2>&1 &
pid=$! # `eventually` starts processes, too
eventually 20 audit_is_there kind-worker
check "$CLUSTER_ENCRYPTION: never applied: pods speak in clear" traffic pod-worker udp "$(pod_ip4 pod-worker2)" --count 3
wait "$pid" || true
check_equal "$CLUSTER_ENCRYPTION: as JSON, the audit names the service's port at either end" "0 $TRAFFIC_PORT $TRAFFIC_PORT 0" \
  "$(jq -rs '[.[] | select(.event == "plaintext")] | sort_by(.direction) | reverse | map("\(.source_port) \(.destination_port)") |
    join(" ")' "$CLUSTER_RUN/audit.json")"

check "$CLUSTER_ENCRYPTION: apply on all four nodes" cluster_apply
capture_start verify-on
verify "all is well" 0 "^kind-worker2 +encrypted +plaintext, as configured +$ciphertext, plaintext on eth0\$"
capture_stop
check_match "$CLUSTER_ENCRYPTION: each peer, pods in two families" \
  '^encrypted: 6 of the 6 probes that should be$' "$VERIFIED"
check_equal "the onlooker saw no pod's probe" 0 \
  "$(count_frames "$CAPTURE_FILE" "$PROBES and src net (10.244.1.0/24 or fd00:10:244:1::/64)")"
check_above "but encrypted packets" 5 "$(count_encrypted "$CAPTURE_FILE")"

json=$(sheath_on kind-worker verify -o json kind-worker2)
check_equal "as JSON: one peer, its probes, the conclusion" 'encrypted kind-worker2 6 2' "$(jq -r '[.conclusion, .peers[0].name,
  (.peers[0].probes | length), ([.peers[0].probes[] | select(.required and .answered)] | length)] | join(" ")' <<<"$json")"

audit_start kind-worker
for family in 4 6; do
  to=$(pod_ip pod-worker2 "$family")
  check "IPv$family: pods speak under audit" traffic pod-worker tcp "$to" --bytes 100000
  check "IPv$family: and learn the path MTU" traffic pod-worker pmtu "$to" --bytes 1500
done
check "and with the world" ping_from pod-worker 192.0.2.1
audit_stop
check_match "$CLUSTER_ENCRYPTION: the audit sees no plaintext" '^no plaintext: [0-9]{2,} packets watched on eth0$' "$AUDIT"
check_equal "$CLUSTER_ENCRYPTION: and ends with 0" 0 "$AUDIT_CODE"

if [[ $CLUSTER_ENCRYPTION == ipsec ]]; then
  on kind-worker ip xfrm policy deleteall
  verify "its policies are deleted" 1 'it went into cilium_xfrm0, and nothing came out' kind-worker2
  check "apply mends that" sheath_on kind-worker apply
else
  on kind-worker wg set cilium_wg0 peer "$(sheath_on kind-worker2 status -o json | jq -r .tunnel.public_key)" remove
  verify "a peer is taken out of the device" 1 'kind-worker2 is no peer of the device' kind-worker2
  check "apply mends that" sheath_on kind-worker apply

  on kind-worker nft 'add table inet cni
    add chain inet cni post { type nat hook postrouting priority srcnat; }
    add rule inet cni post ip saddr 10.244.1.0/24 ip daddr 10.244.2.0/24 masquerade
    add chain inet cni out { type filter hook output priority filter; }
    add rule inet cni out ip daddr 10.244.3.0/24 drop'
  verify "masqueraded by the CNI" 3 'translated from 10.244.1.254 to 172.18.0.2 .* \(masquerading\)' kind-worker2
  check_match "the other family is not" 'plaintext: encrypted are 1 of the 2 probes' "$VERIFIED"
  verify "the host's firewall drops it" 1 'this host does not send it: .*EPERM' kind-worker3
  on kind-worker nft delete table inet cni

  on kind-worker2 ip link set cilium_wg0 down
  verify "a peer that does not answer" 1 'it went out as WireGuard, and no answer came' kind-worker2
  on kind-worker2 ip link set cilium_wg0 up

  # Somebody else's overlay, which came later and is not covered yet; nor does the backstop stop it.
  config_set kind-worker backstop false
  check "without the backstop: apply" sheath_on kind-worker apply
  on kind-worker ip link add foreign type vxlan id 7 dstport 4789 remote "$(node_ip4 kind-worker2)" dev eth0
  on kind-worker ip link set foreign address 02:00:00:00:00:07 up
  on kind-worker ip route replace 10.244.2.0/24 dev foreign
  on kind-worker ip neigh replace "$(pod_ip4 pod-worker2)" lladdr 02:00:00:00:00:08 dev foreign nud permanent
  audit_start kind-worker
  check "through a foreign overlay nothing arrives" ping_lost pod-worker "$(pod_ip4 pod-worker2)"
  audit_stop
  check_match "but the audit finds it inside" \
    "^plaintext leaving on eth0: ICMP, $(pod_ip4 pod-worker) to $(pod_ip4 pod-worker2)\$" "$AUDIT"
  check_equal "and ends with 3" 3 "$AUDIT_CODE"
  on kind-worker ip link del foreign
  on kind-worker ip route replace 10.244.2.0/24 via "$(node_ip4 kind-worker2)"

  rm "$CLUSTER_RUN/nodes/kind-worker2.sheath.json"
  check "apply without that peer's key" sheath_on kind-worker apply
  verify "a peer without a key" 1 'dropped: kind-worker2 is not ready: no key' kind-worker2
  check "permissive mode" sheath_on kind-worker apply --mode permissive
  verify "permissive, a peer without a key" 3 'kind-worker2 is not ready: no key, and the mode is permissive' kind-worker2
  check "all nodes again" cluster_apply
  verify "all is well again" 0 '^encrypted: 6 of the 6 '

  check_exit "an audit has no peers" 2 sheath_on kind-worker verify --watch kind-worker2
  check_exit "an audit that ends by itself" 0 sheath_on kind-worker verify --watch --for 1s -o json
  check_exit "no such peer" 2 sheath_on kind-worker verify kind-worker9
  check_match "a name that is near is named" 'did you mean "kind-worker' \
    "$(sheath_on kind-worker verify kind-werker2 2>&1 || true)"
  check_exit "this node is no peer" 2 sheath_on kind-worker verify kind-worker
  check_exit "no node object describes this node" 2 sheath_on kind-worker verify --node-name elsewhere
fi

# An operator's mistake: the program is gone, everything else is as it was.
rm -f "$CLUSTER_BPFFS"/kind-worker/links/uplink_egress_*
on kind-worker tc filter del dev eth0 egress 2>/dev/null || true
capture_start verify-detached
audit_start kind-worker
check_fails "$CLUSTER_ENCRYPTION: a program is detached: the strict peer refuses what pods send" \
  traffic pod-worker udp "$(pod_ip4 pod-worker2)" --count 3 --patience-ms 200
audit_stop
check_match "$CLUSTER_ENCRYPTION: the audit saw them" \
  "^plaintext leaving on eth0: UDP, $(pod_ip4 pod-worker) to $(pod_ip4 pod-worker2):$TRAFFIC_PORT\$" "$AUDIT"
check_match "$CLUSTER_ENCRYPTION: and counted their packets" '^plaintext: [0-9]+ of [0-9]+ packets watched' "$AUDIT"
verify "a program is detached" 3 "no program of Sheath's is attached to eth0, egress" kind-worker2
capture_stop
check_above "the onlooker saw that, too" 0 \
  "$(count_frames "$CAPTURE_FILE" "$PROBES and src net (10.244.1.0/24 or fd00:10:244:1::/64)")"
check "apply mends that" sheath_on kind-worker apply
verify "after that" 0 '^encrypted: 2 of the 2 ' kind-worker2
finish
