#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Agents are killed (kill -9) at random and started again, under traffic between all pairs of nodes, with both engines;
# with IPsec, keys are rotated meanwhile. Nothing is lost, and nothing is in clear: the datapath does not need them.
#
# SHEATH_SEED=n plays the same kills again. SHEATH_SOAK=1: 100 kills an engine.
# One kernel is enough: 6.1
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/agents.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"

readonly INTERVAL_MS=24 # twelve packets an interval
kills=10
[[ -z ${SHEATH_SOAK-} ]] || kills=100
RANDOM=${SHEATH_SEED:=$((RANDOM * 32768 + RANDOM))}
note "SHEATH_SEED=$SHEATH_SEED"

# kill_one: one of the agents, some time after the last one, and it is started again.
kill_one() {
  local node=${NODES[RANDOM % ${#NODES[@]}]}
  read -rt "0.$(printf '%03d' $((RANDOM % 1000)))" <> <(:) || true
  agent_kill "$node" KILL
  agent_start "$node"
}

# killed_under_traffic ENGINE
killed_under_traffic() {
  local engine=$1 i tally
  use_engine "$engine"
  check "$engine: the agents take it up" eventually 90 agents_have "$engine"
  capture_start "killed-$engine"
  mesh_start "$INTERVAL_MS"
  for ((i = 1; i <= kills; i++)); do
    [[ $engine == wireguard || $((i % 7)) != 1 ]] || key_install "$(next_key kind-worker)"
    kill_one
  done
  check "$engine: after $kills kills all come to rest" eventually 120 agents_settled
  tally=$(mesh_stop)
  capture_stop
  note "$engine: $kills kills: $tally"
  check_match "$engine: not one datagram was lost" '^pairs 6 sent [0-9]{3,} lost 0$' "$tally"
  CLUSTER_ENCRYPTION=$engine check_encrypted "$engine, agents killed"
}

agents_have() {
  agents_settled && all_have_peers 3 &&
    [[ $({ sheath_on kind-worker status -o json || true; } | jq -r .encryption) == "$1" ]]
}

cluster_up
trap agents_end EXIT
for pod in "${MESH_PODS[@]}"; do serve "$pod"; done
agents_start
for engine in wireguard ipsec; do killed_under_traffic "$engine"; done
agents_stop
finish
