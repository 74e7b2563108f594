# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The WireGuard half of the lab, in steps. Sourced by play.

FROM=pod-worker FROM_NODE=kind-worker
TO=pod-worker2 TO_NODE=kind-worker2

show_cluster() {
  local node pod
  step "The cluster: four nodes, their pods, one wire"
  {
    printf '%-20s %-12s %-15s %-22s %s\n' NODE NODE-IP 'POD CIDR' '' PODS
    for node in "${NODES[@]}"; do
      printf '%-20s %-12s %-15s %-22s' "$node" "$(node_ip4 "$node")" "$(pod_cidr4 "$node")" "$(pod_cidr6 "$node")"
      for pod in "${PODS[@]}"; do [[ ${POD_NODE[$pod]} != "$node" ]] || printf ' %s' "$pod"; done
      echo
    done
  } | came_back
  typed server "uname -r"
  uname -r | came_back
  verify "pods reach each other, without encryption so far" ping_from "$FROM" "$(pod_ip4 "$TO")"
}

sensitivity() {
  step "Can the onlooker see plaintext at all? A marked ping, with encryption off"
  capture_start sensitivity
  typed "$FROM" "ping -c 3 -p $MARKER_HEX $(pod_ip4 "$TO")"
  ping_from "$FROM" "$(pod_ip4 "$TO")" | came_back
  capture_stop
  typed underlay "tcpdump -n -i br0"
  frames "$CAPTURE_FILE" icmp and net 10.244.0.0/16 | head -n 4 | came_back
  SENSITIVITY=$(count_marked "$CAPTURE_FILE")
  if ((SENSITIVITY > 0)); then
    tick "the onlooker saw the marked payload $SENSITIVITY times"
  else
    cross "the onlooker saw nothing: it could not tell encrypted from plain"
  fi
}

install_sheath() {
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

show_status() {
  step "Status: the Encryption line"
  at "$TO_NODE" "sheath status | grep Encryption" || true
  local line='Wireguard \[NodeEncryption: Disabled, cilium_wg0 \(Pubkey: [A-Za-z0-9+/]{43}=, Port: 51871, Peers: 3\)\]'
  verify "WireGuard on cilium_wg0, port 51871, three peers" grep -qE "$line" <<<"$OUTPUT"
}

show_key() {
  local file="$CLUSTER_RUN/nodes/$TO_NODE.sheath.json" key
  step "The public key travels in the node's object"
  at server "jq -r '.metadata.annotations[\"network.cilium.io/wg-pub-key\"]' $file" || true
  key=$OUTPUT
  at "$TO_NODE" "wg show cilium_wg0 public-key" || true
  verify "the annotation is the device's key" test "${key:-none}" = "$OUTPUT"
}

# The inner packets, as the node sees them in the tunnel device.
watch_tunnel() {
  INNER=$CLUSTER_RUN/inner.pcap
  nsenter --net="/run/netns/$CLUSTER_PREFIX$FROM_NODE" -- \
    tcpdump -n -i cilium_wg0 -U --immediate-mode -Z root -w "$INNER" 2>"$INNER.log" &
  INNER_PID=$!
  eventually 20 grep -q 'listening on' "$INNER.log" || cross "tcpdump did not start on cilium_wg0"
}

encrypted_ping() {
  step "Ping from $FROM to $TO, watched twice: inside the tunnel device, and on the wire"
  watch_tunnel
  capture_start encrypted
  typed "$FROM" "ping -c 5 -p $MARKER_HEX $(pod_ip4 "$TO")"
  ping_from "$FROM" "$(pod_ip4 "$TO")" -c 5 | came_back
  verify "every ping was answered" ping_from "$FROM" "$(pod_ip4 "$TO")"
  typed "$FROM" "ping -c 3 -p $MARKER_HEX $(pod_ip6 "$TO")"
  ping_from "$FROM" "$(pod_ip6 "$TO")" | tail -n 3 | came_back
  verify "over IPv6, too" ping_from "$FROM" "$(pod_ip6 "$TO")"
  verify "a megabyte over TCP arrives whole" traffic "$FROM" tcp "$(pod_ip4 "$TO")" --bytes 1000000
  capture_stop
  kill "$INNER_PID"
  wait "$INNER_PID" || true
}

show_captures() {
  step "What each of them saw"
  typed "$FROM_NODE" "tcpdump -n -i cilium_wg0"
  frames "$INNER" icmp | head -n 6 | came_back
  verify "in cilium_wg0: the pods' own packets" test "$(count_frames "$INNER" icmp)" -gt 0
  typed underlay "tcpdump -n -i br0"
  frames "$CAPTURE_FILE" udp port 51871 | head -n 6 | came_back
  WIRE=$(count_wireguard "$CAPTURE_FILE")
  PLAINTEXT=$(count_plaintext "$CAPTURE_FILE")
  UNEXPECTED=$(count_unexpected "$CAPTURE_FILE")
  verify "on the wire: UDP 51871" test "$WIRE" -gt 0
  verify "and nothing else ($UNEXPECTED other packets)" test "$UNEXPECTED" = 0
}

show_maps() {
  step "The maps, as bpftool reads them"
  at "$FROM_NODE" "bpftool map dump pinned $CLUSTER_BPFFS/$FROM_NODE/peers" 16 || cross "bpftool cannot read it"
  at "$FROM_NODE" "sheath map dump pod_cidrs4" 12 || cross "sheath map dump failed"
}

show_counters() {
  step "The counters: every verdict, with its reason"
  at "$FROM_NODE" "sheath status" 60 || cross "sheath status says that something is wrong"
  verify "packets were encrypted" test "$(metric "$FROM_NODE" uplink_egress encrypted)" -gt 0
}

closed_by_default() {
  step "Closed by default: an address of no known node, and plaintext from the wire"
  typed "$FROM" "ping -c 3 10.244.77.7"
  verify "a pod address that no node has: dropped" ping_lost "$FROM" 10.244.77.7
  verify "and counted as unknown_node" test "$(metric "$FROM_NODE" uplink_egress unknown_node)" -gt 0
}

verdict() {
  step "Verdict"
  printf '  packets seen on the wire: %d, of which plaintext: %s%d%s\n' \
    "$((WIRE + UNEXPECTED))" "$B" "$PLAINTEXT" "$P"
  printf '  sensitivity: with encryption off, the same probe did see plaintext %d times\n' "$SENSITIVITY"
  if ((PLAINTEXT == 0 && WIRE > 0 && SENSITIVITY > 0 && CROSSES == 0)); then
    printf '\n%s%sencrypted%s\n' "$B" "$G" "$P"
    return 0
  fi
  printf '\n%s%snot proven: %d steps failed%s\n' "$B" "$R" "$CROSSES" "$P"
  return 1
}

play_wireguard() {
  show_cluster
  sensitivity
  install_sheath
  show_status
  show_key
  encrypted_ping
  show_captures
  show_maps
  show_counters
  closed_by_default
  verdict
}
