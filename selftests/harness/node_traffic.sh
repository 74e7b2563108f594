# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Node encryption, whatever the engine: what both test files of it go through. Sourced behind cluster.sh.
#
#   kind-worker ═══ encrypted ═══ kind-worker2 ═══ kind-worker3           kind-control-plane (opted out)
#        └─────────────────────────── plaintext ──────────────────────────────────┘

# talk_as_nodes MTU: node to node, pod to node and node to pod, both families; the path's MTU is learnt, and TCP completes.
talk_as_nodes() {
  local mtu=$1 family node pod
  for family in 4 6; do
    node=$("node_ip$family" kind-worker2) pod=$(pod_ip pod-worker2 "$family")
    check "IPv$family: node to node" ping_from kind-worker "$node"
    check "IPv$family: pod to remote node" ping_from pod-worker "$node"
    check "IPv$family: node to remote pod" ping_from kind-worker "$pod"
    check "IPv$family: 50 UDP datagrams from node to node are answered" traffic kind-worker udp "$node" --count 50
    check_equal "IPv$family: node to node, a packet of 1500 bytes with DF: path MTU $mtu" "path-mtu $mtu" \
      "$(traffic kind-worker pmtu "$node" --bytes 1500 2>&1)"
    check "IPv$family: TCP brings 2 MB from node to node and back" traffic kind-worker tcp "$node" --bytes 2000000
    check_equal "IPv$family: the path MTU is still $mtu" "path-mtu $mtu" \
      "$(traffic kind-worker pmtu "$node" --bytes 1500 2>&1)"
    check "IPv$family: TCP brings 1 MB between pods, after that" traffic pod-worker tcp "$pod" --bytes 1000000
  done
}

# check_control_plane: it is opted out, so both ends speak plaintext, and nobody is locked out.
check_control_plane() {
  local family
  for family in 4 6; do
    check "IPv$family: the control plane is reached" ping_from kind-worker "$("node_ip$family" kind-control-plane)"
    check "IPv$family: and reaches the node" ping_from kind-control-plane "$("node_ip$family" kind-worker)"
  done
}

# switch_all VALUE: nodeEncryption on each node in turn, as an operator would roll it out.
switch_all() {
  local node
  for node in "${NODES[@]}"; do
    config_set "$node" nodeEncryption "$1"
    check "$node: nodeEncryption: $1" sheath_on "$node" apply
  done
  for node in "${NODES[@]}"; do check "$node: once more, now that all have said so" sheath_on "$node" apply; done
}

# test_node_encryption MTU
test_node_encryption() {
  local mtu=$1 before
  cluster_up
  serve kind-worker2
  serve pod-worker2
  check "apply on all nodes" cluster_apply

  capture_start node-plain
  check "off: node to node" ping_from kind-worker "$(node_ip4 kind-worker2)"
  capture_stop
  check_above "the onlooker sees the nodes' plaintext" 0 "$(count_marked "$CAPTURE_FILE")"

  stream_start kind-worker "$(node_ip4 kind-worker2)"
  switch_all true
  check_match "turning it on, node by node, lost no datagram" ' lost 0 ' "$(stream_stop)"
  check_match "status says so" 'NodeEncryption: Enabled' "$(sheath_on kind-worker status 2>&1)"
  check_match "status of the control plane says why not" 'NodeEncryption: OptedOut' \
    "$(sheath_on kind-control-plane status 2>&1)"
  before=$(snapshot kind-worker)
  check "apply a second time" sheath_on kind-worker apply
  check_equal "apply twice changes nothing" "$before" "$(snapshot kind-worker)"

  check_match "verify says so, too: eight probes to each node, but pods' only to the control plane" \
    '^encrypted: 18 of the 18 ' "$(sheath_on kind-worker verify 2>&1 || true)"

  capture_start node-encrypted
  audit_start kind-worker
  talk_as_nodes "$mtu"
  audit_stop
  capture_stop
  check_match "nodes speak: the audit on the node sees no plaintext" '^no plaintext: [0-9]{3,} packets ' "$AUDIT"
  check_encrypted "nodes speak"
  check_equal "nodes speak: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"
  check_equal "nodes speak: no outer packet is a fragment" 0 "$(count_outer_fragments "$CAPTURE_FILE")"
  check_control_plane

  refuse_plaintext

  stream_start kind-worker "$(node_ip4 kind-worker2)"
  switch_all false
  check_match "turning it off, node by node, lost no datagram" ' lost 0 ' "$(stream_stop)"
  check_equal "nothing is left of the outer packets' own way" "" \
    "$(on kind-worker ip rule | grep e00 || true; on kind-worker ip route show table 3584 2>/dev/null)"
  check "off again: node to node" ping_from kind-worker "$(node_ip4 kind-worker2)"
}

# refuse_plaintext: a node that has said that it encrypts is held to it.
refuse_plaintext() {
  local before
  before=$(metric kind-worker uplink_ingress plaintext_ingress)
  sheath_on kind-worker3 unload >/dev/null 2>&1
  capture_start node-refused
  audit_start kind-worker
  check "a node that stops to encrypt is not heard" ping_lost kind-worker3 "$(node_ip4 kind-worker)"
  check "nor over IPv6" ping_lost kind-worker3 "$(node_ip6 kind-worker)"
  audit_stop
  capture_stop
  check_match "the audit on the node saw it come" \
    "^plaintext arriving on eth0: ICMP, $(node_ip4 kind-worker3) to $(node_ip4 kind-worker)\$" "$AUDIT"
  check_above "that is counted" "$before" "$(metric kind-worker uplink_ingress plaintext_ingress)"
  check "it comes back" cluster_apply
  check "and all know that it does" cluster_apply
  check "and is heard" ping_from kind-worker3 "$(node_ip4 kind-worker)"
}
