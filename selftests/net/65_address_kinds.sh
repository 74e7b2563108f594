#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# Kinds of addresses: several pod CIDRs and several node IPs for each node, then everything in IPv6 alone.
#
#   pod-worker 10.244.1.195, 10.245.1.195, fd00:10:245:1::195     kind-worker 172.18.0.2, 172.19.0.2, fd00:172:18::2, …:19::2
#
# Both engines: every pair of addresses of one family is encrypted, pods' always and nodes' with node encryption.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/two_nodes.sh"

# more_addresses NODE POD PEER: a second network of each kind, for the pod, for the node, and the way to the peer's.
more_addresses() {
  local node=$1 pod=$2 peer=$3 host=${POD_HOST[$2]} net=${NODE_NET[$1]}
  ip -n "$CLUSTER_PREFIX$pod" addr add "10.245.$net.$host/32" dev eth0
  ip -n "$CLUSTER_PREFIX$pod" addr add "fd00:10:245:$net::$host/128" dev eth0 nodad
  printf '%s\n' "addr add 172.19.0.${NODE_HOST[$node]}/24 dev eth0" \
    "addr add fd00:172:19::${NODE_HOST[$node]}/64 dev eth0 nodad" \
    "route add 10.245.$net.$host/32 dev lxc_$pod" \
    "route add fd00:10:245:$net::$host/128 dev lxc_$pod" \
    "route add 10.245.${NODE_NET[$peer]}.0/24 via $(node_ip4 "$peer") dev eth0" \
    "route add fd00:10:245:${NODE_NET[$peer]}::/64 via $(node_ip6 "$peer") dev eth0" |
    ip -n "$CLUSTER_PREFIX$node" -batch -
}

# rewrite FILTER: of the node objects, in one rename. `$host` and `$net` are those of the object's node.
rewrite() {
  local file=$CLUSTER_RUN/nodes/nodes.json
  jq '.items |= map((.status.addresses[0].address | split(".")[3] // "") as $host |
    (.spec.podCIDR | split(".")[2] // "") as $net | '"$1"')' "$file" >"$CLUSTER_RUN/nodes/.new"
  mv "$CLUSTER_RUN/nodes/.new" "$file"
}

# heard_from WHERE TO [FROM-ADDRESS]: three marked pings.
heard_from() { ping_from "$1" "$2" ${3:+-I "$3"}; }

# pairs WHAT: each kind of address, from each kind.
pairs() {
  check "$1: IPv4, the first pod CIDR" heard_from pod-worker "$(pod_ip4 pod-worker2)"
  check "$1: IPv4, the second" heard_from pod-worker 10.245.2.254
  check "$1: IPv4, the second, from the second" heard_from pod-worker 10.245.2.254 10.245.1.195
  check "$1: IPv4, the first, from the second" heard_from pod-worker "$(pod_ip4 pod-worker2)" 10.245.1.195
  pairs6 "$1"
  check "$1: IPv4, the second node IP" heard_from kind-worker 172.19.0.4
  check "$1: IPv4, the first, from the second" heard_from kind-worker "$(node_ip4 kind-worker2)" 172.19.0.2
  check "$1: IPv4, pod to the second node IP" heard_from pod-worker 172.19.0.4
}

pairs6() {
  check "$1: IPv6, the first pod CIDR" heard_from pod-worker "$(pod_ip6 pod-worker2)"
  check "$1: IPv6, the second" heard_from pod-worker fd00:10:245:2::254
  check "$1: IPv6, the first, from the second" heard_from pod-worker "$(pod_ip6 pod-worker2)" fd00:10:245:1::195
  check "$1: IPv6, the second node IP" heard_from kind-worker fd00:172:19::4
  check "$1: IPv6, pod to the second node IP" heard_from pod-worker fd00:172:19::4
  check "$1: IPv6, the second node IP to a pod of the second CIDR" heard_from kind-worker fd00:10:245:2::254 fd00:172:19::2
}

# under_eyes WHAT FUNCTION
under_eyes() {
  capture_start "kinds-$((++captures))"
  "$2" "$1"
  capture_stop
  check_encrypted "$1"
  check_equal "$1: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"
}
captures=0

both_apply() {
  check "$1: apply" cluster_apply
  check "$1: and once more" cluster_apply
}

cluster_up
more_addresses kind-worker pod-worker kind-worker2
more_addresses kind-worker2 pod-worker2 kind-worker
# shellcheck disable=SC2016 # variables of jq
rewrite '.spec.podCIDRs += ["10.245.\($net).0/24", "fd00:10:245:\($net)::/64"] |
  .status.addresses += [{type: "InternalIP", address: "172.19.0.\($host)"},
                        {type: "InternalIP", address: "fd00:172:19::\($host)"}]'
all_set nodeEncryption true
all_set clusterPodCIDRs '[10.244.0.0/15, "fd00:10:244::/47"]'
capture_start kinds-clear
check "without Sheath: the second pod CIDR is reached" heard_from pod-worker 10.245.2.254
capture_stop
check_above "and read" 0 "$(count_marked "$CAPTURE_FILE")"

for engine in wireguard ipsec; do
  use_engine "$engine"
  both_apply "$engine, several of each"
  under_eyes "$engine, several of each" pairs
done

rewrite '.spec.podCIDR = "" | .spec.podCIDRs |= map(select(contains(":"))) |
  .status.addresses |= map(select(.address | contains(".") | not))'
all_set clusterPodCIDRs '["fd00:10:244::/47"]'
for engine in ipsec wireguard; do
  use_engine "$engine"
  both_apply "$engine, IPv6 alone"
  under_eyes "$engine, IPv6 alone" pairs6
done
finish
