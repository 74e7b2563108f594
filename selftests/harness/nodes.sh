# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What an operator gives each node: a folder of node objects that all share, and a configuration of its own.
#
#   $CLUSTER_RUN/nodes/            nodes.json, as `kubectl get nodes -o json` prints it, and what the nodes publish
#   $CLUSTER_RUN/NODE/config.yaml  and bin/sheath (with the node's namespace and configuration), run/, state/
#   $CLUSTER_RUN/NODE/keys         its copy of the IPsec key file, as a mounted Secret would bring it
#   $CLUSTER_BPFFS/NODE/           its pins

CLUSTER_BPFFS=/sys/fs/bpf/${CLUSTER_PREFIX}sheath

# node_object NAME HOST NET: one Node, as the API server would print it.
node_object() {
  local labels='{}' annotations='{}'
  [[ $1 != *control-plane ]] || labels='{"node-role.kubernetes.io/control-plane": ""}'
  [[ $CLUSTER_ROUTING != vxlan ]] || annotations="{\"network.cilium.io/ipv4-cilium-host\": \"10.244.$3.247\"}"
  cat <<JSON
{"apiVersion": "v1", "kind": "Node",
 "metadata": {"name": "$1", "labels": $labels, "annotations": $annotations},
 "spec": {"podCIDR": "10.244.$3.0/24", "podCIDRs": ["10.244.$3.0/24", "fd00:10:244:$3::/64"]},
 "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.$2"},
                          {"type": "InternalIP", "address": "fd00:172:18::$2"},
                          {"type": "Hostname", "address": "$1"}]}}
JSON
}

# nodes_write NAME...: the List of exactly these nodes, replaced in one rename.
nodes_write() {
  local node separator=
  {
    echo '{"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": ['
    for node in "$@"; do
      printf '%s' "$separator"
      node_object "$node" "${NODE_HOST[$node]}" "${NODE_NET[$node]}"
      separator=,
    done
    echo ']}'
  } >"$CLUSTER_RUN/nodes/.nodes.json.new"
  mv "$CLUSTER_RUN/nodes/.nodes.json.new" "$CLUSTER_RUN/nodes/nodes.json"
}

config_write() {
  cat >"$CLUSTER_RUN/$1/config.yaml" <<YAML
nodeName: $1
encryption: $CLUSTER_ENCRYPTION
routing: $CLUSTER_ROUTING
mode: strict
devices: [eth0]
clusterPodCIDRs: [10.244.0.0/16, "fd00:10:244::/56"]
nodes: {source: file, path: $CLUSTER_RUN/nodes}
wireguard: {privateKeyFile: $CLUSTER_RUN/$1/state/wireguard.key}
ipsec: {keyFile: $CLUSTER_RUN/$1/keys}
paths: {bpffs: $CLUSTER_BPFFS/$1, run: $CLUSTER_RUN/$1/run, state: $CLUSTER_RUN/$1/state}
YAML
}

# bin/sheath of a node: the real one, in the node's namespace, with the node's configuration.
wrapper_write() {
  cat >"$CLUSTER_RUN/$1/bin/sheath" <<SH
#!/bin/sh
exec "$SHEATH_BUILD/loader/cli/sheath" --netns "$CLUSTER_PREFIX$1" --config "$CLUSTER_RUN/$1/config.yaml" "\$@"
SH
  chmod +x "$CLUSTER_RUN/$1/bin/sheath"
}

# key_install LINE [NODE...]: the key file of these nodes, or of all; as kubelet replaces a mounted Secret, in one rename.
key_install() {
  local line=$1 node
  shift
  (($# > 0)) || set -- "${NODES[@]}"
  for node in "$@"; do
    (umask 077 && printf '%s' "$line" >"$CLUSTER_RUN/$node/keys.new")
    mv "$CLUSTER_RUN/$node/keys.new" "$CLUSTER_RUN/$node/keys"
  done
}

# all_set KEY VALUE: in every node's configuration.
all_set() {
  local node
  for node in "${NODES[@]}"; do config_set "$node" "$1" "$2"; done
}

# use_engine ENGINE: on every node, with a key file where it wants one. Takes effect with the next apply.
use_engine() {
  CLUSTER_ENCRYPTION=$1
  [[ $1 != ipsec || -e $CLUSTER_RUN/${NODES[0]}/keys ]] || key_install "$(sheath key generate --id 3)"
  all_set encryption "$1"
}

nodes_prepare() {
  local node
  mkdir -p "$CLUSTER_RUN/nodes"
  for node in "${NODES[@]}"; do
    mkdir -p "$CLUSTER_RUN/$node"/{bin,run,state}
    config_write "$node"
    wrapper_write "$node"
  done
  [[ $CLUSTER_ENCRYPTION != ipsec ]] || key_install "$(sheath key generate --id 3)"
  nodes_write "${NODES[@]}"
  mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
}

# nodes_forget NODE: takes away its pins, and with them its maps, programs and links, without asking sheath.
nodes_forget() {
  [[ ! -d $CLUSTER_BPFFS/$1 ]] || rm -rf -- "${CLUSTER_BPFFS:?}/$1"
  [[ ! -d $CLUSTER_BPFFS ]] || rmdir --ignore-fail-on-non-empty "$CLUSTER_BPFFS"
}

# sheath_on NODE ARGUMENTS...: what bin/sheath of the node does, without its shell.
sheath_on() {
  local node=$1
  shift
  "$SHEATH_BUILD/loader/cli/sheath" --netns "$CLUSTER_PREFIX$node" --config "$CLUSTER_RUN/$node/config.yaml" "$@"
}

# each_node COMMAND ARGUMENTS...: `COMMAND NODE ARGUMENTS…` for all nodes at once; fails when one of them does.
each_node() {
  local node pids=() pid failed=0
  for node in "${NODES[@]}"; do
    "$1" "$node" "${@:2}" >"$CLUSTER_RUN/$node/last.log" 2>&1 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  if ((failed)); then
    for node in "${NODES[@]}"; do sed "s/^/$node: /" "$CLUSTER_RUN/$node/last.log"; done
  fi
  return "$failed"
}

# cluster_apply [FLAGS...]: every node learns every other's key. With WireGuard, one round to publish and one to read;
# with IPsec the nodes have to hear each other before they send, so all of them stay until they have.
cluster_apply() {
  if [[ $CLUSTER_ENCRYPTION == ipsec ]]; then
    each_node sheath_on apply --wait 60s "$@"
    return
  fi
  each_node sheath_on apply "$@"
  each_node sheath_on apply "$@"
}

# audit_start NODE: `sheath verify --watch` there until audit_stop. Returns when it watches. Started without a function
# between: it is ended by a signal.
audit_start() {
  "$SHEATH_BUILD/loader/cli/sheath" --netns "$CLUSTER_PREFIX$1" --config "$CLUSTER_RUN/$1/config.yaml" \
    verify --watch >"$CLUSTER_RUN/audit.log" 2>&1 &
  AUDIT_PID=$!
  eventually 20 audit_is_there "$1"
}

# A packet socket for all protocols that runs: one that was only just made is not bound to its device yet.
audit_is_there() { on "$1" grep -qE '^[^ ]+ +[0-9]+ +[0-9]+ +0003 +[0-9]+ +1 ' /proc/net/packet; }

# audit_stop: sets AUDIT to what it said and AUDIT_CODE to its exit code. Not in a subshell: it waits for a child.
# shellcheck disable=SC2034 # for the tests
audit_stop() {
  AUDIT_CODE=0
  kill -TERM "$AUDIT_PID"
  wait "$AUDIT_PID" || AUDIT_CODE=$?
  AUDIT=$(<"$CLUSTER_RUN/audit.log")
}

# metric NODE DIRECTION REASON: packets counted so far.
metric() { { sheath_on "$1" status -o json || true; } | jq -r ".counters.$2.$3.packets // 0"; }

# config_set NODE KEY VALUE: one line of its configuration, replaced or added, in one rename.
config_set() {
  local file=$CLUSTER_RUN/$1/config.yaml
  { sed "/^$2:/d" "$file" && printf '%s: %s\n' "$2" "$3"; } >"$file.new"
  mv "$file.new" "$file"
}

# map_dump NODE MAP: as JSON, by bpftool; of `peers`, 65,536 slots of which few are in use, by ourselves.
map_dump() {
  if [[ $2 == peers ]]; then
    sheath_on "$1" map dump peers -o json
  else
    bpftool -j map dump pinned "$CLUSTER_BPFFS/$1/$2"
  fi
}

# snapshot NODE: everything that apply could change, as text; no counters, no times, of the keys only a hash.
snapshot() {
  local map pins=$CLUSTER_BPFFS/$1
  on "$1" wg showconf cilium_wg0 2>&1 | sort | sha256sum
  on "$1" ip xfrm state 2>&1 | grep -E '^src|proto|mark|aead|auth|enc|if_id' | sha256sum
  on "$1" ip xfrm policy
  on "$1" ip -o link show | sed 's/ state .*//; s/ qdisc .*//'
  on "$1" ip rule
  on "$1" ip route show table all
  on "$1" ip -6 route show table all | sed 's/ expires [0-9]*sec//'
  on "$1" tc qdisc show dev eth0
  on "$1" nft -s list ruleset 2>/dev/null
  { sheath_on "$1" status -o json || true; } |
    jq '{programs, node_ips, pod_cidrs, peers: [.peers[]? | {node_id, ready, public_key, endpoint, pod_cidrs}]}'
  for map in node_ips pod_cidrs4 pod_cidrs6 peers; do
    map_dump "$1" "$map" 2>&1 | jq -cS 'sort?'
  done
  find "$pins" -printf '%P\n' 2>/dev/null | sort
  ls -i "$CLUSTER_RUN/nodes/$1.sheath.json" 2>&1 || true
}
