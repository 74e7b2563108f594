# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# The cases: check NAME ARGUMENT... runs sheath and compares what it says with golden/NAME. Sourced by `run`.

nodes_of() { printf '%s/%s' "$data" "$1"; }

# --- help and version ------------------------------------------------------------------------------------------------
check help-overview help
check help-option --help
check no-command
check help-json-of-a-command help map dump -o json
check help-of-a-group help node
check help-option-of-a-command map dump metrics --help
check help-of-an-unknown-command help aply
for command in apply unload status 'encrypt status' 'key generate' 'key rotate' 'key inspect' \
  'node list' 'endpoint list' 'map list' 'map dump' \
  'config view' 'config check' version help; do
  # shellcheck disable=SC2086
  check "help-of-${command// /-}" help $command
done
check version version
check version-option --version
check version-json version -o json

# --- misuse ----------------------------------------------------------------------------------------------------------
check unknown-command statsu
check unknown-command-far-from-any frobnicate
check unknown-second-word node lst
check first-word-alone map
check unknown-option --mod strict status
check unknown-option-far-from-any status --frobnicate
check unknown-short-option status -x
check option-without-value config view --mode
check option-of-another-command config view --dry-run
check output-format-unknown config view -o xml
check argument-too-many config check one two
check argument-missing map dump
check map-unknown map dump pod_cidr4
check map-not-dumpable map dump events
check map-none-pinned map list --bpffs /sys/fs/bpf/sheath-of-no-node
check dry-run-and-wait apply --dry-run --wait 5s
check wait-not-a-duration apply --wait soon
check unsupported-source apply --nodes-source kubernetes

# --- keys ------------------------------------------------------------------------------------------------------------
check key-generate-no-id key generate
check key-generate-bad-id key generate --id 16
check key-generate-bad-size key generate --id 3 --size 160
check key-generate-bad-algorithm key generate --id 3 --algorithm 'gcm(aes)'
for good in "$data"/keys/good-*; do
  chmod 600 "$good"
  check "key-inspect-$(basename "$good")" key inspect --file "$good"
done
check key-inspect-json key inspect --file "$data/keys/good-aes" -o json
check key-inspect-none key inspect --file "$data/keys/absent"
check key-inspect-folder key inspect --file "$data/keys"
for bad in "$data"/keys/bad-*; do
  chmod 600 "$bad"
  check "key-inspect-$(basename "$bad")" key inspect --file "$bad"
done

# --- config view -----------------------------------------------------------------------------------------------------
check view-defaults config view --node-name node-a
check view-defaults-json config view --node-name node-a -o json
check view-file --config "$data/config/good.yaml" config view
check view-flags-win config --config "$data/config/good.yaml" view --mode=strict --devices eth2,eth3 --fast-path
check view-list-flag-twice config view --node-name node-a --devices eth0 --devices eth1
check view-empty-file config view --config "$data/config/empty.yaml" --node-name node-a
check view-flag-bad-value config view --node-name node-a --cluster-pod-cidrs 10.244.0.0/16,10.1.2.3/8
check view-node-name-bad config view --node-name Node_A
check view-no-such-file config view --config "$data/config/absent.yaml"
for bad in "$data"/config/*.yaml; do
  name=$(basename "$bad" .yaml)
  case $name in good | empty) continue ;; esac
  check "config-$name" config check "$bad" --nodes-path "$(nodes_of nodes-json)"
done

# --- nodes -----------------------------------------------------------------------------------------------------------
check check-good config check --node-name kind-worker --nodes-path "$(nodes_of nodes-json)"
check check-good-json config check -o json --node-name kind-worker --nodes-path "$(nodes_of nodes-json)"
check check-node-without-pods config check --node-name stranger --nodes-path "$(nodes_of nodes-json)"
check check-no-such-folder config check --node-name node-a --nodes-path "$data/absent"
check nodes-json-list node list --node-name kind-worker --nodes-path "$(nodes_of nodes-json)"
check nodes-json-list-as-json node list -o json --node-name kind-worker --nodes-path "$(nodes_of nodes-json)"
check nodes-yaml-merged node list --node-name elsewhere --nodes-path "$(nodes_of nodes-yaml)"
check nodes-own-from-flags node list --node-name kind-worker4 --node-ips 172.18.0.9 --pod-cidrs 10.244.9.0/24 \
  --nodes-path "$(nodes_of nodes-json)"
check nodes-own-contradicts node list --node-name kind-worker4 --node-ips 172.18.0.3 --pod-cidrs 10.244.9.0/24 \
  --nodes-path "$(nodes_of nodes-json)"
for bad in "$data"/bad/*/; do
  check "nodes-$(basename "$bad")" node list --node-name elsewhere --nodes-path "${bad%/}"
done
