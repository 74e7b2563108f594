# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Agents: one on each node, all on one folder of node objects. They mend within AGENT_RESYNC what no event told of.

AGENT_RESYNC=${AGENT_RESYNC-5s}
declare -A AGENT_PID=()

# agent_start NODE: returns when its first round is over. Started without a function between: signals speak to it.
agent_start() {
  "$SHEATH_BUILD/loader/cli/sheath" --netns "$CLUSTER_PREFIX$1" --config "$CLUSTER_RUN/$1/config.yaml" \
    agent --agent-resync "$AGENT_RESYNC" </dev/null >>"$CLUSTER_RUN/$1/agent.log" 2>&1 &
  AGENT_PID[$1]=$!
  eventually 30 agent_listens "$1"
}

# agent_kill NODE [SIGNAL]: and it is gone when this returns.
agent_kill() {
  kill -"${2-TERM}" "${AGENT_PID[$1]}" 2>/dev/null || true
  wait "${AGENT_PID[$1]}" 2>/dev/null || true
  unset "AGENT_PID[$1]"
}

agents_start() {
  local node
  for node in "${NODES[@]}"; do agent_start "$node"; done
}

agents_stop() {
  local node
  for node in "${!AGENT_PID[@]}"; do agent_kill "$node"; done
}

# agent_field NODE FILTER: of its report, by jq; empty without an agent.
agent_field() { { sheath_on "$1" status -o json 2>/dev/null || true; } | jq -r "(.agent.report // {}) | $2"; }

agent_listens() { (( $(agent_field "$1" '.rounds // 0') > 0 )); }

# agent_settled NODE: its last round found nothing left to do or to wait for.
agent_settled() { [[ $(agent_field "$1" '.settled and .error == ""') == true ]]; }

agents_settled() {
  local node
  for node in "${NODES[@]}"; do agent_settled "$node" || return 1; done
}

# peers_of NODE: how many are ready.
peers_of() { { sheath_on "$1" status -o json 2>/dev/null || true; } | jq '[.peers[] | select(.ready)] | length'; }

# all_have_peers N
all_have_peers() {
  local node
  for node in "${NODES[@]}"; do [[ $(peers_of "$node") == "$1" ]] || return 1; done
}

# agents_end [CODE]: for the EXIT trap of a test. What the agents said is shown where something failed, or the test broke off.
agents_end() {
  local code=${1-$?} node
  agents_stop
  if ((code != 0)); then
    for node in "${NODES[@]}"; do sed "s/^/# $node: /" "$CLUSTER_RUN/$node/agent.log"; done
  fi
  cluster_down
}
