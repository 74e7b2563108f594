#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Whatever is wrong with an agent's files, it says so in clear words, nothing is in clear on the wire, and it goes on by
# itself when that is mended: a disk that is full, a folder that is read-only or gone, a state file that is torn.
# One kernel is enough: 6.12
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/agents.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"

# The agent and whoever asks it are in this mount namespace; so are the mounts.
STATE=$CLUSTER_RUN/kind-worker/state
SESSIONS=$CLUSTER_RUN/kind-worker/run/ipsec

says() { [[ $(agent_field kind-worker .error) =~ $1 ]]; }
speaks() { ping_from pod-worker "$(pod_ip4 pod-worker2)"; }

agents_have_ipsec() {
  agents_settled && all_have_peers 3 &&
    [[ $({ sheath_on kind-worker status -o json || true; } | jq -r .encryption) == ipsec ]]
}
settled_or_named() { agents_settled || says "$1"; }

trouble_end() {
  local code=$?
  umount "$STATE" 2>/dev/null || true
  umount "$CLUSTER_RUN/nodes" 2>/dev/null || true
  agents_end "$code"
}

cluster_up
trap trouble_end EXIT
capture_start trouble

mount -t tmpfs -o size=8k none "$STATE"
dd if=/dev/zero of="$STATE/filler" 2>/dev/null || true
agents_start
check "a full disk: the agent says so" eventually 20 says 'private key.*No space left on device'
check "a full disk: nothing is made that has no key" ping_lost pod-worker "$(pod_ip4 pod-worker2)"
check "a full disk: but the node is closed" ping_lost pod-worker2 "$(pod_ip4 pod-worker)"
check "a full disk: pods of one node speak" ping_from pod-worker "$(pod_ip4 pod-local)"
rm "$STATE/filler"
check "a full disk: with room again it goes on by itself" eventually 90 agents_settled
check "a full disk: the pods speak" speaks

mv "$CLUSTER_RUN/nodes" "$CLUSTER_RUN/nodes.away"
check "a folder that is gone: the agent says so" eventually 20 says 'read the nodes folder .*No such file or directory'
check "a folder that is gone: the pods go on" speaks
mv "$CLUSTER_RUN/nodes.away" "$CLUSTER_RUN/nodes"
check "a folder that is gone: it goes on when it is back" eventually 90 agents_settled

# A new key of this node has to be published, and cannot be.
mount --bind "$CLUSTER_RUN/nodes" "$CLUSTER_RUN/nodes"
mount -o remount,bind,ro "$CLUSTER_RUN/nodes"
agent_kill kind-worker
rm "$STATE/wireguard.key"
agent_start kind-worker
check "a read-only folder: the agent says so" eventually 20 says 'publish .*Read-only file system'
mount -o remount,bind,rw "$CLUSTER_RUN/nodes"
check "a read-only folder: with leave to write it goes on" eventually 120 agents_settled
check "a read-only folder: the pods speak" eventually 30 speaks

use_engine ipsec
check "with IPsec" eventually 120 agents_have_ipsec
check "the pods speak" speaks
agent_kill kind-worker KILL
torn=$(find "$SESSIONS" -type f | sort | head -n 1)
check "there is a state file" test -n "$torn"
truncate -s 7 "$torn"
agent_start kind-worker
check "a torn state file: the agents come to rest, or it is named" eventually 120 settled_or_named "$torn"
note "it says: $(agent_field kind-worker .error)"
# Out of the way it is what a boot is: new sessions.
[[ $(agent_field kind-worker .error) == "" ]] || rm -r "$SESSIONS"
check "a torn state file: without it they come to rest" eventually 180 agents_settled
check "a torn state file: the pods speak" eventually 60 speaks

capture_stop
check_silent "whatever was wrong"
finish
