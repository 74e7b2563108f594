# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The chapter of the lab on traffic between nodes, in steps. Sourced by play.

turn_on_node_encryption() {
  local node
  step "Turn node encryption on, node by node, in the running cluster"
  stream_start "$FROM_NODE" "$(node_ip4 "$TO_NODE")"
  for node in "${NODES[@]}"; do
    config_set "$node" nodeEncryption true
    at "$node" "grep nodeEncryption $CLUSTER_RUN/$node/config.yaml; sheath apply" 6 || cross "sheath apply failed on $node"
  done
  say "  All have said that they encrypt. Once more, and each holds the others to it:"
  for node in "${NODES[@]}"; do at "$node" "sheath apply" 4 || cross "sheath apply failed on $node"; done
  OUTPUT=$(stream_stop) || true
  came_back <<<"$OUTPUT"
  verify "not one datagram between two nodes was lost" grep -q ' lost 0 ' <<<"$OUTPUT"
}

show_node_encryption() {
  step "Status: the Encryption line"
  at "$TO_NODE" "sheath status | grep Encryption" || true
  verify "NodeEncryption: Enabled" grep -q 'NodeEncryption: Enabled' <<<"$OUTPUT"
  at kind-control-plane "sheath status | grep Encryption" || true
  verify "the control plane is opted out, by its label" grep -q 'NodeEncryption: OptedOut' <<<"$OUTPUT"
}

node_traffic() {
  local to4 to6
  to4=$(node_ip4 "$TO_NODE") to6=$(node_ip6 "$TO_NODE")
  step "Traffic from $FROM_NODE to $TO_NODE, watched twice: inside the tunnel device, and on the wire"
  at "$FROM_NODE" "ip -4 -br addr show eth0" || true
  watch_device cilium_wg0
  capture_start nodes
  typed "$FROM_NODE" "ping -c 5 -p $MARKER_HEX $to4"
  ping_from "$FROM_NODE" "$to4" -c 5 | came_back
  verify "node to node" ping_from "$FROM_NODE" "$to4"
  verify "over IPv6, too" ping_from "$FROM_NODE" "$to6"
  verify "pod to remote node" ping_from "$FROM" "$to4"
  verify "node to remote pod" ping_from "$FROM_NODE" "$(pod_ip4 "$TO")"
  verify "a megabyte over TCP, node to node" traffic "$FROM_NODE" tcp "$to4" --bytes 1000000
  capture_stop
  unwatch_device
  typed "$FROM_NODE" "ETH0_IP=$(node_ip4 "$FROM_NODE"); tcpdump -n -i cilium_wg0 src \$ETH0_IP"
  frames "$INNER" src "$(node_ip4 "$FROM_NODE")" | head -n 6 | came_back
  verify "in cilium_wg0: the node's own packets" test "$(count_frames "$INNER" src "$(node_ip4 "$FROM_NODE")")" -gt 0
  judge_wire "UDP 51871"
}

opted_out() {
  step "The way to the control plane stays open, in plaintext, at both ends"
  verify "node to control plane" ping_from "$FROM_NODE" "$(node_ip4 kind-control-plane)"
  verify "and back" ping_from kind-control-plane "$(node_ip4 "$FROM_NODE")"
}

node_proof() {
  step "Proof on demand"
  at "$FROM_NODE" "sheath verify" || cross "sheath verify finds something"
  verify "pods and nodes" grep -qE "^$TO_NODE +encrypted +encrypted +WireGuard$" <<<"$OUTPUT"
  verify "but for the control plane's own traffic" grep -q '^kind-control-plane .* as configured' <<<"$OUTPUT"
}

play_node_encryption() {
  serve "$TO_NODE"
  show_cluster
  sensitivity nodes
  install_wireguard
  turn_on_node_encryption
  show_node_encryption
  node_traffic
  opted_out
  node_proof
  verdict
}
