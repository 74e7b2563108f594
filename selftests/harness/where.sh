# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The README's table "Where traffic is, and is not, encrypted", cell by cell, for one engine and one kind of routing.
# Sourced behind cluster.sh.
#
# Each cell has two oracles: the pings of the cell are answered, and its own marked bytes are on the wire, or are not.

WHERE_CELL=0

# pattern CELL: 16 bytes of its own, as ping wants them.
pattern() { printf 'sheath cell %04d' "$1" | od -An -v -tx1 | tr -d ' \n'; }

# count_cell FILE CELL: how often its bytes can be read there.
count_cell() { { grep -oaF -- "$(printf 'sheath cell %04d' "$2")" "$1" || true; } | wc -l; }

# address WHERE 4|6: of a pod or of a node.
address() {
  if [[ $1 == pod-* ]]; then pod_ip "$1" "$2"; else "node_ip$2" "$1"; fi
}

# knock FROM TO FAMILY: three pings of a cell of their own; fails when one is not answered.
knock() {
  in_netns "$1" ping -n -c 3 -i 0.05 -W "${KNOCK_PATIENCE-5}" -p "$(pattern "$WHERE_CELL")" "$(address "$2" "$3")" \
    >"$CLUSTER_RUN/cell-$WHERE_CELL.log" 2>&1
}

# wanted SETTING FROM TO FAMILY: encrypted or plaintext. With VXLAN a node speaks to a remote pod from its router IP, which is
# one of the pods' addresses; here the nodes have IPv4 ones only.
wanted() {
  local setting=$1 from=$2 to=$3 family=$4
  if [[ $from == pod-* && $to == pod-* ]]; then
    echo encrypted
  elif [[ $CLUSTER_ROUTING/$family == vxlan/4 && $from != pod-* && $to == pod-* ]]; then
    echo encrypted
  elif [[ $setting == on ]]; then
    echo encrypted
  else
    echo plaintext
  fi
}

# judge_cell SENTENCE WANTED CELL ANSWERED
judge_cell() {
  local seen
  seen=$(count_cell "$CAPTURE_FILE" "$3")
  if [[ $4 == yes && ($2 == encrypted && $seen == 0 || $2 == plaintext && $seen != 0) ]]; then
    pass "$1: $2"
  else
    flunk "$1: $2" "answered: $4; readable on the wire: $seen times
$(<"$CLUSTER_RUN/cell-$3.log")"
  fi
}

# check_cells SETTING POD NODE: {pod, host} to {pod, host} of that peer, in both families.
check_cells() {
  local setting=$1 pod=$2 node=$3 family from to answered sentence line lines=()
  capture_start "where-${setting// /-}"
  for family in 4 6; do
    for from in pod-worker kind-worker; do
      for to in "$pod" "$node"; do
        WHERE_CELL=$((WHERE_CELL + 1))
        if knock "$from" "$to" "$family"; then answered=yes; else answered=no; fi
        sentence="$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING, node encryption $setting, IPv$family, $from to $to"
        lines+=("$sentence|$(wanted "$setting" "$from" "$to" "$family")|$WHERE_CELL|$answered")
      done
    done
  done
  capture_stop
  for line in "${lines[@]}"; do
    IFS='|' read -r sentence to from answered <<<"$line"
    judge_cell "$sentence" "$to" "$from" "$answered"
  done
  check_above "$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING, node encryption $setting: encrypted packets" 0 \
    "$(count_encrypted "$CAPTURE_FILE")"
}

# check_twin: this node alone has keys, so nothing arrives and nothing can be read.
check_twin() {
  local family
  capture_start where-twin
  for family in 4 6; do
    WHERE_CELL=$((WHERE_CELL + 1))
    KNOCK_PATIENCE=1 check_fails "$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING, no keys, IPv$family: nothing arrives" \
      knock pod-worker pod-worker2 "$family"
  done
  capture_stop
  for family in 4 6; do
    check_equal "$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING, no keys: nothing leaks" 0 \
      "$(count_cell "$CAPTURE_FILE" "$((WHERE_CELL - (family == 4)))")"
  done
}

test_where() {
  local node
  cluster_up
  check "$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING: apply on one node" sheath_on kind-worker apply
  check_twin
  check "$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING: on all" cluster_apply
  check_cells off pod-worker2 kind-worker2
  for node in "${NODES[@]}"; do config_set "$node" nodeEncryption true; done
  check "$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING: node encryption" cluster_apply
  check "$CLUSTER_ENCRYPTION, $CLUSTER_ROUTING: once more" cluster_apply
  check_cells on pod-worker2 kind-worker2
  check_cells "opted out" pod-control kind-control-plane
}
