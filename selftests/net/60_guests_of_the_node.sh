#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# Sheath is a guest on the node: others' filters stay and run, settings of the host are lived with, and when it goes
# nothing of it stays.
#
#   eth0 ── [a foreign tc filter, in and out] ── [uplink_egress, uplink_ingress] ── the stack, rp_filter 0, 1 or 2
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"

# Packets that the foreign filter of that direction has seen.
foreign_seen() {
  on kind-worker tc -s -j filter show dev eth0 "$1" pref 10 | jq '[.. | .packets? // empty] | max // 0'
}

kernel_objects() {
  local kind ours='uplink|tunnel_ing|pod_egress|node_ips|pod_cidrs|peers|metrics'
  for kind in prog map; do
    bpftool -j "$kind" list | jq -r --arg ours "$ours" '.[] | .name // "" | select(test($ours))'
  done
}
none_left() { [[ -z $(kernel_objects) ]]; }

cluster_up
serve pod-worker2
on kind-worker tc qdisc add dev eth0 clsact
for direction in ingress egress; do
  on kind-worker tc filter add dev eth0 "$direction" pref 10 protocol all matchall action gact ok
done

virgin=$(snapshot kind-worker)
virgin2=$(snapshot kind-worker2)
check "apply on all nodes" cluster_apply
seen_in=$(foreign_seen ingress) seen_out=$(foreign_seen egress)
check "pods speak beside a foreign filter" ping_from pod-worker "$(pod_ip4 pod-worker2)"
check_above "the foreign filter at egress still runs" "$seen_out" "$(foreign_seen egress)"
check_above "the foreign filter at ingress still runs" "$seen_in" "$(foreign_seen ingress)"

for rp_filter in 0 1 2; do
  for node in kind-worker kind-worker2; do
    on "$node" bash -c "for at in all default eth0; do echo $rp_filter >/proc/sys/net/ipv4/conf/\$at/rp_filter; done"
    check "rp_filter $rp_filter: apply on $node" sheath_on "$node" apply
  done
  check "rp_filter $rp_filter: pods speak" ping_from pod-worker "$(pod_ip4 pod-worker2)"
  check "rp_filter $rp_filter: TCP" traffic pod-worker tcp "$(pod_ip4 pod-worker2)" --bytes 100000
done

check_above "there are programs and maps of ours" 5 "$(kernel_objects | wc -l)"
check "unload on all nodes" each_node sheath_on unload
check_equal "unload leaves a node as it was, the foreign filter included" "$virgin" "$(snapshot kind-worker)"
check_equal "unload leaves a node without a filter as it was" "$virgin2" "$(snapshot kind-worker2)"
check "no program, map or link of ours is left in the kernel" eventually 10 none_left
check_equal "no published object is left" "" "$(find "$CLUSTER_RUN/nodes" -name '*.sheath.json')"
seen_out=$(foreign_seen egress)
check "the pods speak, in clear" ping_from pod-worker "$(pod_ip4 pod-worker2)"
check_above "the foreign filter outlives us" "$seen_out" "$(foreign_seen egress)"
check "unload twice is no error" sheath_on kind-worker unload
finish
