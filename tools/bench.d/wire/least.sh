# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The least that could be in place of Sheath's programs (datapath/programs/least.bpf.c), in front of the crypto that Sheath
# has set up: what stays dear with these is dear because of the way a packet takes, and of nothing that Sheath does to it.

LEAST_OBJECT=$SHEATH_BUILD/bpf/least.bpf.o
least_pins() { echo "$CLUSTER_BPFFS-least/$1"; }

# bytes_of ADDRESS COUNT: its first bytes and zeros, as bpftool takes them.
bytes_of() {
  python3 -c 'import ipaddress, sys
packed = ipaddress.ip_address(sys.argv[1]).packed.ljust(16, b"\0")
print(*packed[:int(sys.argv[2])])' "$1" "$2"
}
# little32 NUMBER: its bytes, lowest first.
little32() { printf '%d ' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
# ifindex_of NODE DEVICE
ifindex_of() { on "$1" ip -j link show dev "$2" | jq '.[0].ifindex'; }

# put_least NODE MAP KEY-BYTES VALUE-BYTES
put_least() {
  # shellcheck disable=SC2086 # bytes
  bpftool map update pinned "$(least_pins "$1")/$2" key $3 value $4
}

# attach_least NODE DEVICE ingress|egress PROGRAM
attach_least() {
  on "$1" tc qdisc replace dev "$2" clsact
  on "$1" tc filter replace dev "$2" "$3" pref 1 handle 1 bpf direct-action pinned "$(least_pins "$1")/$4"
}

# without_filters NODE [DEVICE]: of its uplink, its pods' devices and this one, all filters go.
without_filters() {
  local device
  for device in eth0 ${2-} $(pods_of "$1" | sed 's,^,lxc_,'); do
    on "$1" tc qdisc del dev "$device" clsact 2>/dev/null || true
  done
}

# without_programs NODE TUNNEL: what Sheath has attached there is no more.
without_programs() {
  local link
  while read -r link; do bpftool link detach pinned "$link"; done < <(find "$CLUSTER_BPFFS/$1/links" -type f)
  without_filters "$1" "$2"
}

# The mark that leads a packet to the peer. WireGuard needs none.
mark_to() { on "$1" ip xfrm policy list dir out | grep -oE 'mark 0x[0-9a-f]+' | sort -u | awk 'NR == 1 { print $2 }'; }

# least_on NODE TUNNEL [fast]: in place of what Sheath has attached.
least_on() {
  local node=$1 tunnel=$2 fast=${3-} peer way pod
  peer=$(other_node "$node")
  without_programs "$node" "$tunnel"
  mkdir -p "$CLUSTER_BPFFS-least"
  bpftool prog loadall "$LEAST_OBJECT" "$(least_pins "$node")" pinmaps "$(least_pins "$node")"
  way="$(little32 "$(mark_to "$node" || echo 0)")$(little32 "$(ifindex_of "$node" "$tunnel")")"
  put_least "$node" floor_ways4 "$(bytes_of "$(pod_cidr4 "$peer" | sed 's,/.*,,')" 4)" "$way"
  put_least "$node" floor_ways6 "$(bytes_of "$(pod_cidr6 "$peer" | sed 's,/.*,,')" 8)" "$way"
  if [[ -z $fast ]]; then
    attach_least "$node" eth0 egress least
    return
  fi
  attach_least "$node" "$tunnel" ingress "$([[ $tunnel == cilium_wg0 ]] && echo deliver_ip || echo deliver_ethernet)"
  for pod in $(pods_of "$node"); do
    attach_least "$node" "lxc_$pod" ingress least
    way="$(little32 "$(ifindex_of "$node" "lxc_$pod")")$(mac_bytes "$pod")0 0"
    put_least "$node" floor_pods "$(bytes_of "$(pod_ip4 "$pod")" 16)" "$way"
    put_least "$node" floor_pods "$(bytes_of "$(pod_ip6 "$pod")" 16)" "$way"
  done
}
mac_bytes() { in_pod "$1" ip -j link show dev eth0 | jq -r '.[0].address' | sed -E 's,([0-9a-f]{2}):?,0x\1 ,g'; }

# no_least: the programs go with what Sheath has set up.
no_least() {
  local node
  for node in "${NODES[@]}"; do
    without_filters "$node"
    rm -rf -- "$(least_pins "$node")"
  done
}
