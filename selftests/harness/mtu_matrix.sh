# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Path MTU in every cell: underlay MTU by engine, routing, family, pods and nodes. Sourced behind two_nodes.sh.
#
#   pod-worker ──9000── kind-worker ══ tunnel: what the underlay leaves ══ kind-worker2 ──9000── pod-worker2
#
# In each cell a packet of the tunnel's MTU arrives, one byte more with DF gets its error, the sender learns that MTU, TCP
# brings all its bytes, and no outer packet is a fragment.

# The names of everything that has the underlay's MTU.
underlay_mtu() {
  local node port
  for port in to-outside "${NODE_PORT[@]}" br0; do ip -n "${CLUSTER_PREFIX}underlay" link set "$port" mtu "$1"; done
  for node in outside "${NODES[@]}"; do ip -n "$CLUSTER_PREFIX$node" link set eth0 mtu "$1"; done
}

pod_mtu() {
  local pod
  for pod in "${PODS[@]}"; do
    ip -n "$CLUSTER_PREFIX$pod" link set eth0 mtu "$1"
    ip -n "$CLUSTER_PREFIX${POD_NODE[$pod]}" link set "lxc_$pod" mtu "$1"
  done
}

tunnel_mtu() { sheath_on kind-worker status -o json | jq '(.tunnel // .xfrm).mtu'; }

forget_path() {
  local family
  for family in 4 6; do in_netns "$1" ip "-$family" route flush cache; done
}

# datagram FROM TO FAMILY SIZE: one datagram with DF, SIZE bytes with all headers, is answered.
datagram() {
  local header=28
  [[ $3 == 4 ]] || header=48
  traffic "$1" udp "$2" --count 1 --bytes $(($4 - header))
}

# check_cell WHAT FROM TO FAMILY MTU
check_cell() {
  local what=$1 from=$2 to=$3 family=$4 mtu=$5
  forget_path "$from"
  check_equal "$what: one byte more than $mtu is answered with it" "path-mtu $mtu" \
    "$(traffic "$from" pmtu "$to" --bytes $((mtu + 1)) 2>&1)"
  check "$what: $mtu bytes with DF arrive" datagram "$from" "$to" "$family" "${limit[$family]}"
  forget_path "$from"
  check "$what: TCP brings 200 kB there and back" traffic "$from" tcp "$to" --bytes 200000
}

# refuse_ipv6 WHAT: the kernel's xfrm has no way to carry IPv6 over such an underlay, so apply says so; then it is without.
families=(4 6)
refuse_ipv6() {
  local refusal code=0 file=$CLUSTER_RUN/nodes/nodes.json
  refusal=$(sheath_on kind-worker apply 2>&1) || code=$?
  check_equal "$1: IPv6 is refused" 2 "$code"
  check_match "$1: and why" 'bytes for a packet inside ESP, and IPv6 needs 1280' "$refusal"
  jq '.items[].spec.podCIDRs |= map(select(contains(":") | not)) |
    .items[].status.addresses |= map(select(.address | contains(":") | not))' "$file" >"$file.new"
  mv "$file.new" "$file"
  families=(4)
}

# matrix_row MTU: the first has to be 1500, which shows the overhead.
matrix_row() {
  local underlay=$1 family what mtu
  local -A limit=()
  what="$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING, underlay $underlay"
  underlay_mtu "$underlay"
  [[ $CLUSTER_ENCRYPTION == wireguard || $underlay -gt 1280 ]] || refuse_ipv6 "$what"
  check "$what: apply" cluster_apply
  mtu=$(tunnel_mtu)
  [[ $underlay != 1500 ]] || overhead=$((1500 - mtu))
  limit=([4]=$((underlay - overhead)) [6]=$mtu)
  note "$what: the tunnel's MTU is $mtu, IPv4 may have ${limit[4]}"
  capture_start "mtu-$underlay"
  for family in "${families[@]}"; do
    check_cell "$what, IPv$family, pods" pod-worker "$(pod_ip pod-worker2 "$family")" "$family" "${limit[$family]}"
    check_cell "$what, IPv$family, nodes" kind-worker "$("node_ip$family" kind-worker2)" "$family" "${limit[$family]}"
  done
  capture_stop
  check_encrypted "$what"
  # IPv6 has no link below 1280: what the underlay cannot carry in one piece it carries in two.
  if ((underlay > 1280)); then
    check_equal "$what: no outer packet is a fragment" 0 "$(count_outer_fragments "$CAPTURE_FILE")"
  fi
}

# mid_connection: the underlay shrinks under a TCP connection, and the tunnel with it.
mid_connection() {
  local what="$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING, the underlay shrinks from 1500 to 1400" pid code=0 bytes=25000000
  forget_path pod-worker
  traffic pod-worker tcp "$(pod_ip4 pod-worker2)" --bytes "$bytes" --patience-ms 30000 >"$CLUSTER_RUN/mid.log" 2>&1 &
  pid=$!
  eventually 20 has_sent 200000
  underlay_mtu 1400
  check "$what: the connection is there" kill -0 "$pid"
  check "$what: apply after" cluster_apply
  wait "$pid" || code=$?
  check_equal "$what: a connection that runs brings all its bytes" 0 "$code"
  check_equal "$what: and the new MTU is learnt" "path-mtu $((1400 - overhead))" \
    "$(traffic pod-worker pmtu "$(pod_ip4 pod-worker2)" --bytes 1400 2>&1)"
}

# has_sent BYTES: the tunnel device of kind-worker, from when it was asked first.
sent_at_first=
has_sent() {
  local now
  now=$(on kind-worker cat /proc/net/dev | awk '$1 ~ /^cilium_(wg0|xfrm0):/ { print $10 }')
  sent_at_first=${sent_at_first:-$now}
  ((now - sent_at_first > $1))
}

test_mtu_matrix() {
  local underlay
  cluster_up
  pod_mtu 9000
  serve pod-worker2
  serve kind-worker2
  all_set nodeEncryption true
  check "$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING: apply" cluster_apply
  for underlay in "$@"; do
    matrix_row "$underlay"
    [[ $underlay != 1500 ]] || mid_connection
  done
}
