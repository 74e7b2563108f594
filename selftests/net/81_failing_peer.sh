#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A step about one peer fails: the others' are done, this one's traffic stays closed, it is named, and the next attempt
# mends it. By apply, and by an agent, which tries again by itself. With both engines.
#
# One kernel is enough: 6.1
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/agents.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"

readonly -A FAILING=([wireguard]='^add peer kind-worker2 ' [ipsec]='^add the receive.*kind-worker2')

plan() { sheath_on kind-worker apply --dry-run -o json 2>/dev/null; }
# step_of REGEX: the number of the first step of the present plan that is so described.
step_of() { plan | jq --arg regex "$1" '[.steps[].text] | to_entries | map(select(.value | test($regex)))[0].key'; }

# Two peers go, and come back.
come_back() {
  local published=("$CLUSTER_RUN"/nodes/kind-worker[23].sheath.json) away=$CLUSTER_RUN/away
  mkdir "$away"
  mv "${published[@]}" "$away"
  nodes_write kind-control-plane kind-worker
  sheath_on kind-worker apply >/dev/null 2>&1 || return 1
  mv "$away"/* "$CLUSTER_RUN/nodes"
  rmdir "$away"
  nodes_write "${NODES[@]}"
}

# The next plan but one: with IPsec the first draws a session, since the keys of the old one were in use.
pass_first_plan() { SHEATH_FAIL_AT=$(plan | jq '.steps | length') sheath_on kind-worker apply >/dev/null 2>&1 || true; }

ready() {
  { sheath_on kind-worker status -o json || true; } |
    jq -r --arg peer "$1" '.peers[] | select(.name == $peer) | .ready'
}
is_ready() { [[ $(ready "$1") == true ]]; }
speaks() { ping_from pod-worker "$(pod_ip4 "$1")"; }
problems() { { sheath_on kind-worker status -o json || true; } | jq -r '.problems[]'; }
mended_by_itself() { is_ready kind-worker2 && [[ -z $(problems) ]]; }

fails_alone() {
  local engine=$1 step said code=0
  use_engine "$engine"
  check "$engine: all is well" cluster_apply
  check "$engine: two peers go and come back" come_back
  [[ $engine == wireguard ]] || pass_first_plan
  step=$(step_of "${FAILING[$engine]}")
  check_match "$engine: there is a step for the one" '^[0-9]+$' "$step"
  capture_start "failing-$engine"
  said=$(SHEATH_FAIL_AT=$step sheath_on kind-worker apply 2>&1 >"$CLUSTER_RUN/out") || code=$?
  check_equal "$engine: apply fails" 1 "$code"
  check_match "$engine: with that peer" "^error: step $((step + 1)) of [0-9]+, add .*kind-worker2.*: made to fail" "$said"
  check_equal "$engine: and with no other" 1 "$(grep -c '^error: ' <<<"$said")"
  check_equal "$engine: it is not ready" false "$(ready kind-worker2)"
  check_fails "$engine: nothing reaches it" speaks pod-worker2
  check "$engine: the next apply mends it" cluster_apply
  check "$engine: then it is reached" eventually 30 speaks pod-worker2
  check "$engine: and the others are" speaks pod-worker3
  capture_stop
  CLUSTER_ENCRYPTION=$engine check_encrypted "$engine: a peer that failed"
}

# A peer whose session key is a point of small order (RFC 7748, 6.1): nobody has a secret with it.
unusable_key() {
  local said code=0
  session_object kind-worker9 9 9 AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= >"$CLUSTER_RUN/nodes/kind-worker9.json"
  said=$(sheath_on kind-worker apply 2>&1 >/dev/null) || code=$?
  check_equal "unusable key: apply fails" 1 "$code"
  check_match "unusable key: with that peer" '^error: step .*kind-worker9.*no usable point of X25519' "$said"
  check_equal "unusable key: and with no other" 1 "$(grep -c '^error: ' <<<"$said")"
  check_equal "unusable key: it is not ready" false "$(ready kind-worker9)"
  check "unusable key: the others are reached" speaks pod-worker2
  rm "$CLUSTER_RUN/nodes/kind-worker9.json"
  check "unusable key: all is well without it" sheath_on kind-worker apply
}

# The agent of kind-worker fails with the same step in each of its rounds, until that is another peer's or none.
agent_fails_alone() {
  local step
  use_engine wireguard
  check "agent: all is well" cluster_apply
  check "agent: two peers go and come back" come_back
  step=$(step_of "${FAILING[wireguard]}")
  SHEATH_FAIL_AT=$step agent_start kind-worker
  check_match "agent: it says with whom it failed" 'failed with kind-worker2: step .* made to fail by SHEATH_FAIL_AT' \
    "$(said_by_agent)"
  check "agent: and mends it by itself" eventually 30 mended_by_itself
  check "agent: the peer is reached" eventually 30 speaks pod-worker2
}
said_by_agent() { grep '^error: ' "$CLUSTER_RUN/kind-worker/agent.log" | sed 's/^error: \([^:]*\): /failed with \1: /'; }

cluster_up
trap 'agents_stop; cluster_down' EXIT
for engine in wireguard ipsec; do fails_alone "$engine"; done
unusable_key
agent_fails_alone
finish
