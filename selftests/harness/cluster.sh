# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A cluster on one kernel: each node, each pod, the wire and the outside are network namespaces.
#
#   pod-control         pod-worker    pod-local     pod-worker2       pod-worker3
#   10.244.0.10         10.244.1.195  10.244.1.20   10.244.2.254      10.244.3.33
#        | lxc_pod-control    | lxc_…       |            |                 |
#   kind-control-plane  kind-worker ────────┘       kind-worker2      kind-worker3       outside
#   172.18.0.5          172.18.0.2                  172.18.0.4        172.18.0.3         172.18.0.66
#        | eth0               | eth0                     | eth0            | eth0        192.0.2.1 | eth0
#   ─────┴────────────────────┴─────── br0 ──────────────┴─────────────────┴───────────────────────┴──
#                              in `underlay`, 172.18.0.1: the wire, where the independent capture listens
#
# IPv6 beside it: 172.18.0.N is fd00:172:18::N, 10.244.A.B is fd00:10:244:A::B, 192.0.2.1 is 2001:db8::1. The nodes do
# what a CNI with native routing does: a /32 and a /128 to each pod, a route to each other node's pod CIDRs by its node
# address, forwarding on.
# `outside` is the default gateway, the rest of the world, and whoever else can put frames on this wire.
#
# Set before sourcing, if wanted: CLUSTER_PREFIX (put before each namespace's name; unique on a machine that others use
# too), CLUSTER_RUN (folder for everything that is written), CLUSTER_RP_FILTER (0, 1 or 2 on all nodes),
# CLUSTER_ENCRYPTION (wireguard or ipsec), CLUSTER_ROUTING (native; with vxlan the nodes have no routes to each other's
# pods).

HARNESS_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
REPO_DIR=$(cd -- "$HARNESS_DIR/../.." && pwd)
CLUSTER_PREFIX=${CLUSTER_PREFIX-}
CLUSTER_RP_FILTER=${CLUSTER_RP_FILTER-0}
CLUSTER_ENCRYPTION=${CLUSTER_ENCRYPTION-wireguard}
CLUSTER_ROUTING=${CLUSTER_ROUTING-native}
CLUSTER_RUN=${CLUSTER_RUN-$(mktemp -d /tmp/sheath-cluster.XXXXXX)}
SHEATH_BUILD=${SHEATH_BUILD-$REPO_DIR/build/release}
# Each start of a program in another locale looks for its files: half of the time that `cat` takes in an emulated guest.
export LC_ALL=C
export PATH="$SHEATH_BUILD/loader/cli:$SHEATH_BUILD/selftests/harness:/usr/sbin:/sbin:$PATH"

# shellcheck source=assert.sh
source "$HARNESS_DIR/assert.sh"
# shellcheck source=capture.sh
source "$HARNESS_DIR/capture.sh"
# shellcheck source=nodes.sh
source "$HARNESS_DIR/nodes.sh"
# shellcheck source=traffic.sh
source "$HARNESS_DIR/traffic.sh"

NODES=(kind-control-plane kind-worker kind-worker2 kind-worker3)
PODS=(pod-control pod-worker pod-local pod-worker2 pod-worker3)
readonly POD_GATEWAY4=169.254.1.1 POD_GATEWAY6=fe80::1 HOST_MAC=ee:ee:ee:ee:ee:ee

# Last number of the node's address, third number of its pod CIDR, name of its port at the bridge.
declare -A NODE_HOST=([kind-control-plane]=5 [kind-worker]=2 [kind-worker2]=4 [kind-worker3]=3)
declare -A NODE_NET=([kind-control-plane]=0 [kind-worker]=1 [kind-worker2]=2 [kind-worker3]=3)
declare -A NODE_PORT=([kind-control-plane]=to-control [kind-worker]=to-worker [kind-worker2]=to-worker2
  [kind-worker3]=to-worker3)
declare -A POD_NODE=([pod-control]=kind-control-plane [pod-worker]=kind-worker [pod-local]=kind-worker
  [pod-worker2]=kind-worker2 [pod-worker3]=kind-worker3)
declare -A POD_HOST=([pod-control]=10 [pod-worker]=195 [pod-local]=20 [pod-worker2]=254 [pod-worker3]=33)

node_ip4() { echo "172.18.0.${NODE_HOST[$1]}"; }
node_ip6() { echo "fd00:172:18::${NODE_HOST[$1]}"; }
router_ip4() { echo "10.244.${NODE_NET[$1]}.247"; }
pod_cidr4() { echo "10.244.${NODE_NET[$1]}.0/24"; }
pod_cidr6() { echo "fd00:10:244:${NODE_NET[$1]}::/64"; }
pod_ip4() { echo "10.244.${NODE_NET[${POD_NODE[$1]}]}.${POD_HOST[$1]}"; }
pod_ip6() { echo "fd00:10:244:${NODE_NET[${POD_NODE[$1]}]}::${POD_HOST[$1]}"; }
# pod_ip POD 4|6
pod_ip() { "pod_ip$2" "$1"; }

# in_netns NAME COMMAND...: in that network namespace and nothing else: /sys, and with it bpffs, stays as it is.
in_netns() {
  local name=$1
  shift
  sheath_in_netns "/run/netns/$CLUSTER_PREFIX$name" "$@"
}
# on NODE COMMAND...: as on that node. `sheath` finds the node's own configuration there.
on() {
  local node=$1
  shift
  PATH="$CLUSTER_RUN/$node/bin:$PATH" in_netns "$node" "$@"
}
in_pod() { in_netns "$@"; }

set_sysctls() {
  local name=$1 forwarding=$2
  in_netns "$name" bash -c "cd /proc/sys/net
    for all in all default; do
      echo 0 >ipv6/conf/\$all/accept_dad
      echo $forwarding >ipv6/conf/\$all/forwarding
      echo $CLUSTER_RP_FILTER >ipv4/conf/\$all/rp_filter
    done
    echo $forwarding >ipv4/ip_forward"
}

# pods_of NODE
pods_of() {
  local pod
  for pod in "${PODS[@]}"; do [[ ${POD_NODE[$pod]} != "$1" ]] || echo "$pod"; done
}

# A node's links: to the bridge, and to its pods.
node_links() {
  local p=$CLUSTER_PREFIX pod
  echo "link add eth0 netns $p$1 type veth peer name ${NODE_PORT[$1]} netns ${p}underlay"
  for pod in $(pods_of "$1"); do
    echo "link add eth0 netns $p$pod type veth peer name lxc_$pod netns $p$1 address $HOST_MAC"
  done
}

# Everything that is a link, for one `ip -batch`.
links_batch() {
  local p=$CLUSTER_PREFIX node
  echo "link add br0 netns ${p}underlay type bridge"
  echo "link add eth0 netns ${p}outside type veth peer name to-outside netns ${p}underlay"
  for node in "${NODES[@]}"; do node_links "$node"; done
}

underlay_batch() {
  local port
  for port in to-outside "${NODE_PORT[@]}"; do echo "link set $port master br0 up"; done
  echo "link set lo up
link set br0 up
addr add 172.18.0.1/24 dev br0
addr add fd00:172:18::1/64 dev br0 nodad"
}

outside_batch() {
  local node
  echo "link set lo up
link set eth0 up
addr add 192.0.2.1/32 dev lo
addr add 2001:db8::1/128 dev lo nodad
addr add 172.18.0.66/24 dev eth0
addr add fd00:172:18::66/64 dev eth0 nodad"
  for node in "${NODES[@]}"; do routes_to "$node"; done
}

# The routes of a CNI to another node's pods.
routes_to() {
  echo "route add $(pod_cidr4 "$1") via $(node_ip4 "$1") dev eth0"
  echo "route add $(pod_cidr6 "$1") via $(node_ip6 "$1") dev eth0"
}

node_batch() {
  local node=$1 other pod
  echo "link set lo up
link set eth0 up
addr add $(node_ip4 "$node")/24 dev eth0
addr add $(node_ip6 "$node")/64 dev eth0 nodad
route add default via 172.18.0.66 dev eth0
route add default via fd00:172:18::66 dev eth0"
  if [[ $CLUSTER_ROUTING == native ]]; then
    for other in "${NODES[@]}"; do [[ $other == "$node" ]] || routes_to "$other"; done
  fi
  for pod in $(pods_of "$node"); do
    echo "link set lxc_$pod up
route add $(pod_ip4 "$pod")/32 dev lxc_$pod
route add $(pod_ip6 "$pod")/128 dev lxc_$pod"
  done
}

pod_batch() {
  echo "link set lo up
link set eth0 up
addr add $(pod_ip4 "$1")/32 dev eth0
addr add $(pod_ip6 "$1")/128 dev eth0 nodad
neigh add $POD_GATEWAY4 lladdr $HOST_MAC dev eth0 nud permanent
neigh add $POD_GATEWAY6 lladdr $HOST_MAC dev eth0 nud permanent
route add default via $POD_GATEWAY4 dev eth0 onlink
route add default via $POD_GATEWAY6 dev eth0"
}

# configure NAME BATCH_FUNCTION [ARGUMENT]
configure() { "${@:2}" | ip -n "$CLUSTER_PREFIX$1" -batch -; }

# cluster_up: builds everything. One EXIT trap takes it down again.
cluster_up() {
  local name
  trap cluster_down EXIT
  mkdir -p "$CLUSTER_RUN"
  printf "netns add $CLUSTER_PREFIX%s\n" underlay outside "${NODES[@]}" "${PODS[@]}" | ip -batch -
  for name in outside "${NODES[@]}"; do set_sysctls "$name" 1; done
  for name in underlay "${PODS[@]}"; do set_sysctls "$name" 0; done
  links_batch | ip -batch -
  configure underlay underlay_batch
  configure outside outside_batch
  for name in "${NODES[@]}"; do configure "$name" node_batch "$name"; done
  for name in "${PODS[@]}"; do configure "$name" pod_batch "$name"; done
  nodes_prepare
}

# node_reboot NODE [down]: its namespace is destroyed and built again, and what a boot loses is gone: pins and run directory
# (a tmpfs). Its pods keep their processes and get new devices. With `down` its cable is not in: port_up puts it in.
node_reboot() {
  local node=$1 state=${2-up} pod
  # The programs go before the node does, which no reboot does: nothing gets out meanwhile.
  ip -n "${CLUSTER_PREFIX}underlay" link set "${NODE_PORT[$node]}" down
  nodes_forget "$node"
  rm -rf -- "${CLUSTER_RUN:?}/$node/run"
  mkdir -p "$CLUSTER_RUN/$node/run"
  ip netns del "$CLUSTER_PREFIX$node"
  # The namespace's devices go when the kernel gets to it.
  eventually 20 node_links_gone "$node"
  ip netns add "$CLUSTER_PREFIX$node"
  set_sysctls "$node" 1
  node_links "$node" | ip -batch -
  ip -n "${CLUSTER_PREFIX}underlay" link set "${NODE_PORT[$node]}" master br0 "$state"
  configure "$node" node_batch "$node"
  for pod in $(pods_of "$node"); do configure "$pod" pod_batch "$pod"; done
}
port_up() { ip -n "${CLUSTER_PREFIX}underlay" link set "${NODE_PORT[$1]}" up; }
node_links_gone() { ! ip -n "${CLUSTER_PREFIX}underlay" link show "${NODE_PORT[$1]}" >/dev/null 2>&1; }

# cluster_down: ends what was started, by process ID, and removes what was made. CLUSTER_KEEP=1 keeps the files.
cluster_down() {
  local name
  traffic_stop_all
  capture_stop_all
  for name in "${NODES[@]}"; do nodes_forget "$name"; done
  printf "netns del $CLUSTER_PREFIX%s\n" "${PODS[@]}" "${NODES[@]}" outside underlay |
    ip -force -batch - 2>/dev/null || true
  [[ -n ${CLUSTER_KEEP-} ]] || rm -rf -- "$CLUSTER_RUN"
}
