#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Agents keep a cluster right: from nothing to full encryption, nodes that leave and join, objects that are wrong, a
# configuration that changes, and whatever somebody does by hand. One capture watches all of it.
#
# 74_agent.sh [wireguard|ipsec]
# One kernel is enough: 6.12
set -euo pipefail
export CLUSTER_ENCRYPTION=${1-wireguard}
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/agents.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"

readonly E=$CLUSTER_ENCRYPTION
TUNNEL=cilium_wg0
[[ $E == wireguard ]] || TUNNEL=cilium_xfrm0

speaks() { ping_from pod-worker "$(pod_ip4 "$1")" && ping_from pod-worker "$(pod_ip6 "$1")"; }
problems() { { sheath_on kind-worker status -o json || true; } | jq -r '.problems[]'; }
has_problem() { problems | grep -qE "$1"; }
no_problem() { [[ -z $(problems) ]]; }

# What a node is like, whatever the numbers of its programs and of the tunnel device.
likeness() { snapshot kind-worker | sed -E '/^ *"id":/d; s/^[0-9]+: cilium_/cilium_/'; }
has_done_more_than() { (($(agent_field kind-worker '.steps // 0') > $1)); }
is_like() { [[ $(likeness) == "$1" ]]; }

# mended WHAT COMMAND…: the command damages kind-worker, and the agent brings back what was there.
mended() {
  local what=$1 before steps
  shift
  eventually 20 agent_settled kind-worker
  before=$(likeness)
  steps=$(agent_field kind-worker .steps)
  check "$E, $what: done by hand" "$@"
  check "$E, $what: the agent does something about it" eventually 30 has_done_more_than "$steps"
  eventually 30 is_like "$before" || true
  check_equal "$E, $what: it is mended" "$before" "$(likeness)"
}

detach_by_hand() {
  local link
  link=$(find "$CLUSTER_BPFFS/kind-worker/links" -name '*uplink_egress*')
  if [[ -n $link ]]; then
    bpftool link detach pinned "$link"
  else
    on kind-worker tc filter del dev eth0 egress
  fi
}
flush_state() { on kind-worker ip xfrm state flush && on kind-worker ip xfrm policy flush; }
remove_peer() { on kind-worker wg set cilium_wg0 peer "$(on kind-worker wg show cilium_wg0 peers | head -n 1)" remove; }
change_map() { bpftool map delete pinned "$CLUSTER_BPFFS/kind-worker/pod_cidrs4" key 24 0 0 0 10 244 2 0; }

test_peers() { [[ $(peers_of "$1") == "$2" ]]; }
knows_worker9() { sheath_on kind-worker map dump pod_cidrs4 2>/dev/null | grep -q '^10.244.9.0/24 '; }
is_mode() { [[ $({ sheath_on kind-worker status -o json || true; } | jq -r .mode) == "$1" ]]; }
status_by_good_config() {
  sheath --netns "${CLUSTER_PREFIX}kind-worker" --config "$CLUSTER_RUN/kind-worker/good.yaml" status || true
}
traced() {
  speaks pod-worker2
  jq -es 'any(.[]; .reason == "encrypted" and .family == 4) and any(.[]; .reason == "decrypted")' "$1"
}
# scrape NODE PATH: head and body, without carriage returns.
scrape() {
  on "$1" bash -c "exec 3<>/dev/tcp/127.0.0.1/9964; printf 'GET $2 HTTP/1.1\r\nHost: x\r\n\r\n' >&3; cat <&3" | tr -d '\r'
}
metric_names() { sed -nE 's/^# TYPE ([a-z_]+) .*/\1/p'; }

cluster_up
trap agents_end EXIT
capture_start agent
agents_start
check "$E: agents bring a cluster from nothing to rest" eventually 60 agents_settled
check "$E: every node has its peers" eventually 20 all_have_peers 3
check "$E: the pods speak" speaks pod-worker2
check "$E: nothing is wrong" no_problem
check_match "$E: status says who keeps the node" '^Agent: +process [0-9]+, looked [0-9]+s ago: all done$' \
  "$(sheath_on kind-worker status)"

confinement=$(grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/${AGENT_PID[kind-worker]}/status" | tr -s '\t\n' ' ')
check_equal "$E: the agent has the five capabilities it needs, and a filter of system calls" \
  "CapEff: 000000c000203000 CapBnd: 000000c000203000 NoNewPrivs: 1 Seccomp: 2 " "$confinement"

check_exit "$E: a second agent is refused" 1 sheath_on kind-worker agent
check_match "$E: with the process that holds the node" "another agent runs on this node: process ${AGENT_PID[kind-worker]} " \
  "$(sheath_on kind-worker agent 2>&1)"
check_exit "$E: unload is refused beside an agent" 1 sheath_on kind-worker unload

nodes_write kind-control-plane kind-worker kind-worker2
rm "$CLUSTER_RUN/nodes/kind-worker3.sheath.json"
agent_kill kind-worker3
check "$E: a node leaves, and the others forget it" eventually 20 test_peers kind-worker 2
nodes_write "${NODES[@]}"
agent_start kind-worker3
check "$E: it comes back" eventually 60 all_have_peers 3
check "$E: its pods speak again" eventually 20 speaks pod-worker3

check_above "$E: for that the others looked at the changed objects alone" 0 "$(agent_field kind-worker2 .small_rounds)"
# Its own log is one of these files.
large_rounds() { agent_field kind-worker3 '.rounds - .small_rounds'; }
agent_kill kind-worker3
AGENT_RESYNC=1h agent_start kind-worker3
check "$E: an agent that looks at all once an hour comes to rest" eventually 60 agent_settled kind-worker3
rounds=$(large_rounds)
for _ in {1..20}; do date >"$CLUSTER_RUN/kind-worker3/other-file"; done
sheath_on kind-worker3 metrics >/dev/null
sleep 1
check_equal "$E: other files beside its configuration are none of its business" "$rounds" "$(large_rounds)"

# waits_in_small_rounds: while a node that never answers is waited for.
waits_in_small_rounds() {
  local large small
  large=$(large_rounds) small=$(agent_field kind-worker3 .small_rounds)
  sleep 2
  [[ $(large_rounds) == "$large" && $(agent_field kind-worker3 .small_rounds) -gt $small ]]
}
waits_for() { agent_field kind-worker3 '.waiting_for_key[]' | grep -qx "$1"; }
if [[ $E == ipsec ]]; then
  session_object kind-silent 9 9 "$(head -c 32 /dev/urandom | base64)" >"$CLUSTER_RUN/nodes/silent.json"
  check "$E: a node that never answers is waited for" eventually 20 waits_for kind-silent
  check "$E: without a look at the others" waits_in_small_rounds
  check "$E: whose pods speak" speaks pod-worker2
  rm "$CLUSTER_RUN/nodes/silent.json"
  check "$E: nobody is waited for when it is gone" eventually 20 agent_settled kind-worker3
fi

echo '{"kind": "Node", "metadata": {"name": "torn' >"$CLUSTER_RUN/nodes/torn.json"
check "$E: a file that is torn is named" eventually 20 has_problem '^not taken: .*torn\.json'
check_exit "$E: status says that something is wrong" 3 sheath_on kind-worker status
node_object kind-thief 66 2 >"$CLUSTER_RUN/nodes/thief.json"
check "$E: a node that claims another's pods is named" eventually 20 has_problem '^not taken: .*kind-thief.*overlapping pod CIDRs'
node_object kind-worker9 9 9 >"$CLUSTER_RUN/nodes/good.json"
check "$E: a good one beside them is taken" eventually 20 knows_worker9
check "$E: the pods of the one that was there speak" speaks pod-worker2
rm "$CLUSTER_RUN"/nodes/{torn,thief,good}.json
check "$E: all is well when they are gone" eventually 20 no_problem

config_set kind-worker mode permissive
check "$E: a configuration that changed is taken up" eventually 20 is_mode permissive
cp "$CLUSTER_RUN/kind-worker/config.yaml" "$CLUSTER_RUN/kind-worker/good.yaml"
config_set kind-worker mode strikt
check "$E: one that is wrong is refused in words" eventually 20 \
  grep -q '^error: the configuration stays as it was: .*config.yaml:[0-9]*: mode: "strikt" is none of' \
  "$CLUSTER_RUN/kind-worker/agent.log"
check_match "$E: and status names it, which itself has a good one" 'older configuration: .*strikt' "$(status_by_good_config)"
check_match "$E: nothing changes with it" '^Mode: +permissive$' "$(status_by_good_config)"
config_set kind-worker mode strict
check "$E: the next good one is taken up" eventually 20 is_mode strict
mv "$CLUSTER_RUN/kind-worker/config.yaml" "$CLUSTER_RUN/kind-worker/away.yaml"
check "$E: a configuration that is gone is no wish for the defaults" eventually 20 \
  grep -q '^error: the configuration stays as it was: .*config.yaml: is gone or empty' "$CLUSTER_RUN/kind-worker/agent.log"
mv "$CLUSTER_RUN/kind-worker/away.yaml" "$CLUSTER_RUN/kind-worker/config.yaml"
check "$E: all is well when it is back" eventually 20 no_problem
config_set kind-worker nodeName kind-other
check "$E: what wants a restart is named" eventually 20 has_problem 'nodeName: taken up when the agent is started again'
config_set kind-worker nodeName kind-worker
check "$E: all is well again" eventually 20 no_problem

mended "a program is detached" detach_by_hand
mended "the backstop is deleted" on kind-worker nft delete table inet sheath
mended "an entry of a map is deleted" change_map
mended "the tunnel is set down" on kind-worker ip link set "$TUNNEL" down
if [[ $E == wireguard ]]; then
  mended "a peer is removed" remove_peer
  mended "the tunnel device is deleted" on kind-worker ip link del cilium_wg0
else
  check "$E: states and policies are flushed by hand" flush_state
  check "$E: the agents bring traffic back" eventually 60 speaks pod-worker2
fi
check "$E: all agents come to rest" eventually 60 agents_settled
check "$E: the pods speak after all that" speaks pod-worker3

check_match "$E: Prometheus is answered" '^sheath_peer_ready\{peer="kind-worker2"\} 1$' "$(scrape kind-worker /metrics)"
check_match "$E: and told what is not there" '^HTTP/1.1 404 ' "$(scrape kind-worker /)"
check_equal "$E: what the command says has the same names" "$(scrape kind-worker /metrics | metric_names)" \
  "$(sheath_on kind-worker metrics | metric_names)"

sheath_on kind-worker monitor --trace --for 4s -o json >"$CLUSTER_RUN/monitor.json" 2>"$CLUSTER_RUN/monitor.err" &
monitor=$!
check "$E: monitor traces" eventually 20 traced "$CLUSTER_RUN/monitor.json"
check_match "$E: a second monitor is refused" 'another monitor runs on this node' "$(sheath_on kind-worker monitor 2>&1)"
monitor_code=0
wait "$monitor" || monitor_code=$?
check_equal "$E: monitor ends when it was told to" 0 "$monitor_code"
check_equal "$E: what went to a peer, with all there is to say of it" \
  "encrypt encrypted uplink_egress eth0 $TUNNEL kind-worker2 $(pod_ip4 pod-worker) $(pod_ip4 pod-worker2) 1" \
  "$(jq -r 'select(.reason == "encrypted" and .family == 4) | "\(.verdict) \(.reason) \(.program) \(.device) \(.to_device) \(
    .peer) \(.source) \(.destination) \(.protocol)"' "$CLUSTER_RUN/monitor.json" | sort -u)"
check_match "$E: and what came" '"reason":"decrypted".*"program":"tunnel_ingress"' "$(<"$CLUSTER_RUN/monitor.json")"
sheath_on kind-worker monitor --for 2s >"$CLUSTER_RUN/monitor.log" &
monitor=$!
speaks pod-worker2 >/dev/null
wait "$monitor"
check_equal "$E: without tracing it says nothing of these, and no program traces any more" "" "$(<"$CLUSTER_RUN/monitor.log")"

agent_kill kind-worker KILL
check_match "$E: status says that the agent died" '^Agent: +died \(it was process [0-9]+\)' "$(sheath_on kind-worker status)"
agent_start kind-worker
agent_kill kind-worker
check "$E: one that was ended leaves encryption as it is" speaks pod-worker2
check_match "$E: status says that none runs" '^Agent: +none runs' "$(sheath_on kind-worker status)"
agent_start kind-worker
agent_kill kind-worker KILL
check "$E: then unload works" sheath_on kind-worker unload
check_fails "$E: and leaves no run folder, not even with what a dead agent left there" test -e "$CLUSTER_RUN/kind-worker/run"
agents_stop
capture_stop
check_encrypted "$E: agents"
finish
