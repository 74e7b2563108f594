# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The WireGuard chapter of the lab, in steps. Sourced by play.

install_wireguard() {
  local node
  step "Install: WireGuard, on every node"
  at "$FROM_NODE" "cat $CLUSTER_RUN/$FROM_NODE/config.yaml" || true
  at "$FROM_NODE" "sheath apply --dry-run" 40 || cross "the plan could not be made"
  for node in "${NODES[@]}"; do at "$node" "sheath apply" 4 || cross "sheath apply failed on $node"; done
  say "  Each node has published its key; now each one reads those of the others:"
  for node in "${NODES[@]}"; do at "$node" "sheath apply" 4 || cross "sheath apply failed on $node"; done
  OUTPUT=$(sheath_on "$FROM_NODE" apply --dry-run -o json) || true
  verify "a further apply finds nothing to do" test "$(jq '.steps | length' <<<"$OUTPUT")" = 0
}

show_wireguard_status() {
  local line='Wireguard \[NodeEncryption: Disabled, cilium_wg0 \(Pubkey: [A-Za-z0-9+/]{43}=, Port: 51871, Peers: 3\)\]'
  step "Status: the Encryption line"
  at "$TO_NODE" "sheath status | grep Encryption" || true
  verify "WireGuard on cilium_wg0, port 51871, three peers" grep -qE "$line" <<<"$OUTPUT"
}

show_wireguard_key() {
  local file="$CLUSTER_RUN/nodes/$TO_NODE.sheath.json" key
  step "The public key travels in the node's object"
  at server "jq -r '.metadata.annotations[\"network.cilium.io/wg-pub-key\"]' $file" || true
  key=$OUTPUT
  at "$TO_NODE" "wg show cilium_wg0 public-key" || true
  verify "the annotation is the device's key" test "${key:-none}" = "$OUTPUT"
}

wireguard_ping() {
  step "Ping from $FROM to $TO, watched twice: inside the tunnel device, and on the wire"
  watch_device cilium_wg0
  capture_start wireguard
  marked_traffic
  capture_stop
  unwatch_device
  typed "$FROM_NODE" "tcpdump -n -i cilium_wg0"
  frames "$INNER" icmp | head -n 6 | came_back
  verify "in cilium_wg0: the pods' own packets" test "$(count_frames "$INNER" icmp)" -gt 0
  judge_wire "UDP 51871"
}

show_maps() {
  step "The maps, as bpftool reads them"
  at "$FROM_NODE" "bpftool map dump pinned $CLUSTER_BPFFS/$FROM_NODE/pod_cidrs4" 16 || cross "bpftool cannot read it"
  at "$FROM_NODE" "sheath map dump peers" 12 || cross "sheath map dump failed"
}

show_counters() {
  step "The counters: every verdict, with its reason"
  at "$FROM_NODE" "sheath status" 60 || cross "sheath status says that something is wrong"
  local program=uplink_egress
  [[ $CLUSTER_ROUTING == native ]] || program=overlay_egress
  verify "packets were encrypted" test "$(metric "$FROM_NODE" "$program" encrypted)" -gt 0
}

play_wireguard() {
  show_cluster
  if [[ $CLUSTER_ROUTING == native ]]; then
    verify "pods reach each other, without encryption so far" ping_from "$FROM" "$(pod_ip4 "$TO")"
  fi
  sensitivity
  install_wireguard
  show_wireguard_status
  show_wireguard_key
  wireguard_ping
  show_maps
  show_counters
  closed_by_default
  verdict
}
