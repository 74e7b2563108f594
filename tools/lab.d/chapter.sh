# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the chapters of the lab have in common: the cluster, the two watchers, the verdict. Sourced by play.

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
}

# Without Sheath the pods of different nodes speak in clear; with VXLAN routing there is no way between them yet, so
# that the onlooker is shown a marked ping from node to node. sensitivity [nodes]
sensitivity() {
  local from=$FROM to filter=(icmp and net 10.244.0.0/16)
  to=$(pod_ip4 "$TO")
  step "Can the onlooker see plaintext at all? A marked ping, with encryption off"
  if [[ $CLUSTER_ROUTING == vxlan || ${1-} == nodes ]]; then from=$FROM_NODE to=$(node_ip4 "$TO_NODE") filter=(icmp); fi
  capture_start sensitivity
  typed "$from" "ping -c 3 -p $MARKER_HEX $to"
  ping_from "$from" "$to" | came_back
  capture_stop
  typed underlay "tcpdump -n -i br0"
  frames "$CAPTURE_FILE" "${filter[@]}" | head -n 4 | came_back
  SENSITIVITY=$(count_marked "$CAPTURE_FILE")
  verify "the onlooker saw the marked payload $SENSITIVITY times" test "$SENSITIVITY" -gt 0
}

# watch_device DEVICE: the packets as this node sees them there, in $INNER, until unwatch_device.
watch_device() {
  INNER=$CLUSTER_RUN/inner.pcap
  sheath_in_netns "/run/netns/$CLUSTER_PREFIX$FROM_NODE" \
    tcpdump -n -i "$1" -U --immediate-mode -Z root -w "$INNER" 2>"$INNER.log" &
  INNER_PID=$!
  eventually 20 grep -q 'listening on' "$INNER.log" || cross "tcpdump did not start on $1"
}

unwatch_device() {
  kill "$INNER_PID"
  wait "$INNER_PID" || true
}

marked_traffic() {
  typed "$FROM" "ping -c 5 -p $MARKER_HEX $(pod_ip4 "$TO")"
  ping_from "$FROM" "$(pod_ip4 "$TO")" -c 5 | came_back
  verify "every ping was answered" ping_from "$FROM" "$(pod_ip4 "$TO")"
  typed "$FROM" "ping -c 3 -p $MARKER_HEX $(pod_ip6 "$TO")"
  ping_from "$FROM" "$(pod_ip6 "$TO")" | tail -n 3 | came_back
  verify "over IPv6, too" ping_from "$FROM" "$(pod_ip6 "$TO")"
  verify "a megabyte over TCP arrives whole" traffic "$FROM" tcp "$(pod_ip4 "$TO")" --bytes 1000000
}

# judge_wire WHAT: what the onlooker saw in the last capture; adds to WIRE, PLAINTEXT and UNEXPECTED.
judge_wire() {
  local encrypted unexpected plaintext
  typed underlay "tcpdump -n -i br0"
  frames "$CAPTURE_FILE" "$(encrypted_filter)" | head -n 6 | came_back
  encrypted=$(count_encrypted "$CAPTURE_FILE") unexpected=$(count_unexpected "$CAPTURE_FILE")
  plaintext=$(count_plaintext "$CAPTURE_FILE")
  verify "on the wire: $1" test "$encrypted" -gt 0
  verify "and nothing else ($unexpected other packets)" test "$unexpected" = 0
  WIRE=$((${WIRE-0} + encrypted)) UNEXPECTED=$((${UNEXPECTED-0} + unexpected)) PLAINTEXT=$((${PLAINTEXT-0} + plaintext))
}

closed_by_default() {
  step "Closed by default: an address of no known node"
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
