# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# An overlay that is not Sheath's, as a CNI brings it: kind-worker and kind-worker2 reach each other's pods by a tunnel
# device. Sourced behind two_nodes.sh.

# others_devices KIND NODE PEER: the devices of that kind between the two, as arguments of `ip link add`.
others_devices() {
  local ends4 ends6
  ends4="local $(node_ip4 "$2") remote $(node_ip4 "$3")" ends6="local $(node_ip6 "$2") remote $(node_ip6 "$3")"
  case $1 in
  vxlan) echo "other0 type vxlan id 1 $ends4 dstport 8472 nolearning" ;;
  geneve) echo "other0 type geneve id 1 remote $(node_ip4 "$3")" ;;
  gre) echo "other0 type gre $ends4" ;;
  gretap) echo "other0 type gretap $ends4" ;;
  ipip) echo "other0 type ipip $ends4" && echo "other1 type sit $ends4" ;;
  ip6tnl) echo "other0 type ip6tnl mode any $ends6" ;;
  ip6gre) echo "other0 type ip6gre $ends6" ;;
  esac
}

# others_batch KIND NODE PEER: on a device with MAC addresses the peer's is told, as flannel does.
others_batch() {
  local kind=$1 node=$2 peer=$3 devices device via4='' via6='' to6
  mapfile -t devices < <(others_devices "$@")
  for device in "${devices[@]}"; do
    echo "link add $device"
    to6=${device%% *}
    case $kind in
    vxlan | geneve | gretap)
      via4="via 10.244.${NODE_NET[$peer]}.0" via6="via fe80::${NODE_NET[$peer]}"
      echo "link set other0 address 02:00:00:00:00:0${NODE_NET[$node]}
neigh add ${via4#via } lladdr 02:00:00:00:00:0${NODE_NET[$peer]} dev other0 nud permanent
neigh add ${via6#via } lladdr 02:00:00:00:00:0${NODE_NET[$peer]} dev other0 nud permanent" ;;
    esac
    echo "link set $to6 up"
  done
  echo "route replace $(pod_cidr4 "$peer") $via4 dev other0 ${via4:+onlink}
route replace $(pod_cidr6 "$peer") $via6 dev $to6 ${via6:+onlink}"
}

others_overlay_up() {
  configure kind-worker others_batch "$1" kind-worker kind-worker2
  configure kind-worker2 others_batch "$1" kind-worker2 kind-worker
}

others_overlay_down() {
  local node peer device
  for node in "${NODES[@]}"; do
    for device in other0 other1; do on "$node" ip link del "$device" 2>/dev/null || true; done
    for peer in "${NODES[@]}"; do
      [[ $peer == "$node" ]] || routes_to "$peer" | sed 's/ add / replace /' | ip -n "$CLUSTER_PREFIX$node" -batch -
    done
  done
}
