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
  close_later_uplink

  stream_start kind-worker "$(node_ip4 kind-worker2)"
  switch_all false
  check_match "turning it off, node by node, lost no datagram" ' lost 0 ' "$(stream_stop)"
  check_equal "nothing is left of the outer packets' own way" "" \
    "$(on kind-worker ip rule | grep e00 || true; on kind-worker ip route show table 3584 2>/dev/null)"
  check "off again: node to node" ping_from kind-worker "$(node_ip4 kind-worker2)"
}

# A second uplink of both workers, by which they reach each other's node addresses from now on.
later_uplink_batch() {
  local node=$1 other=$2 family
  echo "link set eth1 address 02:00:00:00:01:0${NODE_HOST[$node]}
link set eth1 up"
  for family in 4 6; do
    echo "neigh add $("node_ip$family" "$other") lladdr 02:00:00:00:01:0${NODE_HOST[$other]} dev eth1 nud permanent
route add $("node_ip$family" "$other") dev eth1"
  done
}

later_uplink_up() {
  local p=$CLUSTER_PREFIX node
  for node in kind-worker kind-worker2; do
    ip link add eth1 netns "$p$node" type veth peer name "later-${NODE_HOST[$node]}" netns "${p}underlay"
    ip -n "${p}underlay" link set "later-${NODE_HOST[$node]}" master br0 up
  done
  configure kind-worker later_uplink_batch kind-worker kind-worker2
  configure kind-worker2 later_uplink_batch kind-worker2 kind-worker
}

# rp_filter_on_workers 0|1: with 1 the kernel drops what comes by another device than the way back.
rp_filter_on_workers() {
  local node
  for node in kind-worker kind-worker2; do
    on "$node" bash -c "for at in /proc/sys/net/ipv4/conf/*/rp_filter; do echo $1 >\$at; done"
  done
}

# on_workers KEY VALUE: in their configuration, and applied.
on_workers() {
  local node
  for node in kind-worker kind-worker2; do
    config_set "$node" "$1" "$2"
    check "$node: $1: $2" sheath_on "$node" apply
  done
}

# backstop_packets NODE
backstop_packets() { sheath_on "$1" status -o json 2>/dev/null | jq .backstop.packets; }

# close_later_uplink: an uplink that comes when Sheath is there carries no node traffic before it is covered.
close_later_uplink() {
  local family node
  rp_filter_on_workers 0
  later_uplink_up
  capture_start uplink-later
  for family in 4 6; do
    check "later uplink, IPv$family: what nodes send by it is dropped" \
      ping_lost kind-worker "$("node_ip$family" kind-worker2)"
    check "later uplink, IPv$family: what pods send to nodes by it is dropped" \
      ping_lost pod-worker "$("node_ip$family" kind-worker2)"
  done
  capture_stop
  check_silent "later uplink"
  check_above "later uplink: the backstop counts" 3 "$(backstop_packets kind-worker)"
  on kind-worker nft delete table inet sheath
  capture_start uplink-unstopped
  check "later uplink: what comes by it is dropped at the other end" ping_lost kind-worker "$(node_ip4 kind-worker2)"
  capture_stop
  check_above "later uplink: it is read on the wire when the sender's backstop is gone" 0 "$(count_marked "$CAPTURE_FILE")"
  check_above "later uplink: and counted where it came" 0 "$(backstop_packets kind-worker2)"

  capture_start uplink-covered
  on_workers devices '[eth0, eth1]'
  for family in 4 6; do
    check "later uplink, covered, IPv$family: node to node" ping_from kind-worker "$("node_ip$family" kind-worker2)"
  done
  capture_stop
  check_encrypted "later uplink, covered"
  # Outer packets go by it from now on.
  on_workers devices '[eth0]'
  for family in 4 6; do
    check "later uplink, no longer covered, IPv$family: ciphertext passes" \
      ping_from pod-worker "$(pod_ip pod-worker2 "$family")"
    check "later uplink, no longer covered, IPv$family: node traffic does not" \
      ping_lost kind-worker "$("node_ip$family" kind-worker2)"
  done
  for node in kind-worker kind-worker2; do on "$node" ip link del eth1; done
  rp_filter_on_workers "$CLUSTER_RP_FILTER"
  check "later uplink: gone again, apply" cluster_apply
  check "later uplink: gone again" ping_from kind-worker "$(node_ip4 kind-worker2)"
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
