#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.12
# IPsec in its other forms: each algorithm, the fast path, rotation by the clock, two nodes with one SPI tag, an IPv6
# underlay, and from one engine to the other and back.
set -euo pipefail
export CLUSTER_ENCRYPTION=ipsec
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"

# speak WHAT: both families, small and large, and the onlooker's verdict.
speak() {
  local what=$1 family to
  capture_start "speak-$((++captures))"
  for family in 4 6; do
    to=$(pod_ip pod-worker2 "$family")
    check "$what, IPv$family: ping" ping_from pod-worker "$to"
    check "$what, IPv$family: TCP brings 300 kB there and back" traffic pod-worker tcp "$to" --bytes 300000
  done
  capture_stop
  check_encrypted "$what"
  check_equal "$what: no outer packet is a fragment" 0 "$(count_outer_fragments "$CAPTURE_FILE")"
}
captures=0

random_hex() { od -An -v -t x1 -N "$1" /dev/urandom | tr -d ' \n'; }

# with_key LINE WHAT: the whole cluster goes over to that key, by a rotation.
with_key() {
  key_install "$1"
  check "$2: all nodes take it up" cluster_apply
  check_match "$2: that is what the kernel has" "$3" "$(on kind-worker ip xfrm state | grep -oE '(aead|auth-trunc|enc) [^ ]+')"
  speak "$2"
}

cluster_up
serve pod-worker2
check "apply on all four nodes" cluster_apply

with_key "$(sheath key generate --id 4 --size 192)" "AES-GCM, 192 bits" 'aead rfc4106\(gcm\(aes\)\)'
with_key "$(sheath key generate --id 5 --size 256)" "AES-GCM, 256 bits" 'aead rfc4106\(gcm\(aes\)\)'
with_key "6 hmac(sha256) $(random_hex 32) cbc(aes) $(random_hex 32)" "AES-CBC with HMAC" 'enc cbc\(aes\)'
with_key "$(sheath key generate --id 7 --algorithm 'rfc7539esp(chacha20,poly1305)')" "ChaCha20-Poly1305" \
  'aead rfc7539esp\(chacha20,poly1305\)'
with_key "$(sheath key generate --id 8)" "back to AES-GCM" 'aead rfc4106\(gcm\(aes\)\)'

all_set fastPath true
check "the fast path: apply" cluster_apply
for family in 4 6; do
  check_match "the fast path, IPv$family: no router is passed" 'ttl=64' \
    "$(ping_from pod-worker "$(pod_ip pod-worker2 "$family")" 2>&1)"
done
check_above "the fast path: pods' packets go straight into the tunnel" 3 "$(metric kind-worker pod_egress encrypted)"
check_above "the fast path: and straight out of it" 3 "$(metric kind-worker2 tunnel_ingress delivered)"
speak "the fast path"
all_set fastPath false
check "without it again: apply" cluster_apply

object=$CLUSTER_RUN/nodes/kind-worker2.sheath.json
tag=$(jq -r '.metadata.annotations["sheath.io/ipsec-spi-tag"]' "$CLUSTER_RUN/nodes/kind-worker.sheath.json")
# As if both had drawn it: the one whose name is larger has to give way.
cp "$object" "$CLUSTER_RUN/object.kept"
jq --arg tag "$tag" '.metadata.annotations["sheath.io/ipsec-spi-tag"] = $tag' "$CLUSTER_RUN/object.kept" \
  >"$CLUSTER_RUN/object.forged"
capture_start conflict
cp "$CLUSTER_RUN/object.forged" "$object"
sheath_on kind-worker3 apply >/dev/null 2>&1 || true
ping_lost pod-worker3 "$(pod_ip4 pod-worker2)" >/dev/null || true
check "two nodes with one tag: the nodes apply" sheath_on kind-worker2 apply
check "two nodes with one tag: all are heard again" cluster_apply
capture_stop
check_silent "two nodes with one tag"
check_equal "every tag is one node's" 4 \
  "$(jq -r '.metadata.annotations["sheath.io/ipsec-spi-tag"]' "$CLUSTER_RUN"/nodes/*.sheath.json | sort -u | wc -l)"
speak "two nodes with one tag, settled"

# A minute is the least: the sessions are made to look older than they are.
for node in "${NODES[@]}"; do
  sed -i "s|^ipsec: .*|ipsec: {keyFile: $CLUSTER_RUN/$node/keys, rotateEvery: 1m}|" "$CLUSTER_RUN/$node/config.yaml"
  session=$(echo "$CLUSTER_RUN/$node/run/ipsec"/session-*)
  drawn=$(sed -n 3p "$session")
  sed -i "3s/.*/$((drawn - 600000000000))/" "$session"
done
stream_start pod-worker "$(pod_ip4 pod-worker2)" 10
old=$(keys_in_use kind-worker)
check "rotateEvery: the sessions are old, apply" cluster_apply
check_equal "rotateEvery: the next key is in use" "$((old % 15 + 1))" "$(keys_in_use kind-worker)"
check_match "rotateEvery: the key file is the same" "^$old " "$(<"$CLUSTER_RUN/kind-worker/keys")"
check_match "rotateEvery: nothing is lost" ' lost 0 ' "$(stream_stop)"

# Nodes whose objects know IPv6 addresses only.
jq '.items[].status.addresses |= map(select(.address | startswith("172.") | not))' "$CLUSTER_RUN/nodes/nodes.json" \
  >"$CLUSTER_RUN/nodes.ipv6"
mv "$CLUSTER_RUN/nodes.ipv6" "$CLUSTER_RUN/nodes/nodes.json"
for node in "${NODES[@]}"; do sheath_on "$node" apply >/dev/null 2>&1 || true; done
check "IPv6 underlay: all nodes take it up" cluster_apply
speak "IPv6 underlay"
check_equal "IPv6 underlay: no ESP over IPv4" 0 "$(count_frames "$CAPTURE_FILE" 'ip proto 50')"
for family in 4 6; do
  in_pod pod-worker ip "-$family" route flush cache
  check_equal "IPv6 underlay, IPv$family: a packet of 1500 bytes with DF is answered: path MTU 1426" "path-mtu 1426" \
    "$(traffic pod-worker pmtu "$(pod_ip pod-worker2 "$family")" --bytes 1500 2>&1)"
done

capture_start engines
all_set encryption wireguard
CLUSTER_ENCRYPTION=wireguard cluster_apply || flunk "to WireGuard: apply"
check "to WireGuard: ping" ping_from pod-worker "$(pod_ip4 pod-worker2)"
check_equal "to WireGuard: no state is left" "" "$(on kind-worker ip xfrm state)"
check_equal "to WireGuard: no policy is left" "" "$(on kind-worker ip xfrm policy)"
check_fails "to WireGuard: no session is left" test -e "$CLUSTER_RUN/kind-worker/run/ipsec"
all_set encryption ipsec
check "back to IPsec: apply" cluster_apply
check "back to IPsec: ping" ping_from pod-worker "$(pod_ip4 pod-worker2)"
check_fails "back to IPsec: no WireGuard device is left" on kind-worker ip link show cilium_wg0
capture_stop
check_silent "from one engine to the other and back"
finish
