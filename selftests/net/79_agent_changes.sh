#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What happens to a node in its life, while agents keep the cluster: its pod CIDR changes, its address, its key; it boots; the
# clock jumps. kind-worker3 is the one that changes. The others talk all the while, and lose nothing by it.
#
# 79_agent_changes.sh [wireguard|ipsec]
# One kernel is enough: none; 74_agent.sh stands for it
set -euo pipefail
export CLUSTER_ENCRYPTION=${1-wireguard}
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/agents.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"

readonly E=$CLUSTER_ENCRYPTION NODE=kind-worker3 POD=pod-worker3

speaks() { ping_from pod-worker "$(pod_ip4 $POD)" && ping_from $POD "$(pod_ip6 pod-worker)"; }
# Of the others to the node's pods.
routes_replace() { routes_to $NODE | sed 's/ add / replace /'; }
each_other() {
  local node
  for node in outside "${NODES[@]}"; do [[ $node == "$NODE" ]] || configure "$node" "$@"; done
}
settled_with_peers() { agents_settled && all_have_peers 3; }

# Where it was lost, if it was: what xfrm and the pods' sockets counted. An answer that came too late is no port of anybody's.
loss_evidence() {
  local each
  for each in kind-worker kind-worker2; do
    note "$each: $(on "$each" grep -vE '[[:space:]]0$' /proc/net/xfrm_stat | tr -s '[:space:]' ' ')"
  done
  for each in pod-worker pod-worker2; do note "$each: $(in_pod "$each" grep '^Udp:' /proc/net/snmp | tr '\n' ' ')"; done
}

# change WHAT COMMAND…: the pods of the node that changed are reached again, the agents have nothing left to do, and whoever
# did not change has lost nothing.
change() {
  local what=$1 tally
  shift
  stream_start pod-worker "$(pod_ip4 pod-worker2)"
  "$@"
  check "$E, $what: its pods speak again" eventually 60 speaks
  check "$E, $what: all agents come to rest" eventually 60 settled_with_peers
  tally=$(stream_stop) || loss_evidence
  check_match "$E, $what: the others lost nothing" ' lost 0 ' "$tally"
}

new_pod_cidr() {
  local old4 old6
  old4=$(pod_ip4 $POD) old6=$(pod_ip6 $POD)
  NODE_NET[$NODE]=7
  echo "route add $(pod_ip4 $POD)/32 dev lxc_$POD
route add $(pod_ip6 $POD)/128 dev lxc_$POD" | ip -n "$CLUSTER_PREFIX$NODE" -batch -
  echo "addr add $(pod_ip4 $POD)/32 dev eth0
addr add $(pod_ip6 $POD)/128 dev eth0 nodad
addr del $old4/32 dev eth0
addr del $old6/128 dev eth0" | ip -n "$CLUSTER_PREFIX$POD" -batch -
  each_other routes_replace
  nodes_write "${NODES[@]}"
}

new_address() {
  ip -n "$CLUSTER_PREFIX$NODE" addr del "$(node_ip4 $NODE)/24" dev eth0
  ip -n "$CLUSTER_PREFIX$NODE" addr del "$(node_ip6 $NODE)/64" dev eth0
  NODE_HOST[$NODE]=13
  # With the address its routes went.
  configure "$NODE" again
  each_other routes_replace
  nodes_write "${NODES[@]}"
}
again() { node_batch "$NODE" | grep -E '^(addr|route)' | sed 's/^route add/route replace/; s/^addr add/addr replace/'; }

# With WireGuard a node without its key file makes another; with IPsec all get a new one.
new_key() {
  if [[ $E == ipsec ]]; then
    key_install "$(next_key kind-worker)"
    return
  fi
  agent_kill "$NODE"
  rm "$CLUSTER_RUN/$NODE/state/wireguard.key"
  agent_start "$NODE"
}

reboot() {
  agent_kill "$NODE" KILL
  node_reboot "$NODE"
  agent_start "$NODE"
}

clock_by() { date -s "@$(($(date +%s) + $1))" >/dev/null; }

cluster_up
trap agents_end EXIT
for pod in pod-worker pod-worker2; do serve "$pod"; done
agents_start
check "$E: agents bring a cluster to rest" eventually 60 settled_with_peers
capture_start changes
check "$E: the pods speak" speaks

change "another pod CIDR" new_pod_cidr
change "another address" new_address
change "another key" new_key
check_above "$E: the others looked at what changed alone" 2 "$(agent_field kind-worker .small_rounds)"
change "a boot" reboot
if [[ $(hostname) == vmtest ]]; then
  change "a day later by the clock" clock_by 86400
  change "a day before by the clock" clock_by -172800
  change "the right time again" clock_by 86400
fi

capture_stop
check_encrypted "$E: all changes"
finish
