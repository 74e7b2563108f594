#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.12
# Bad input on a running node: one clear line, exit 2 or 1, and nothing changed.
#
#   nodes/ + config.yaml, spoilt ─▶ sheath apply on kind-worker ─▶ refused; pods go on speaking as before
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"

# refused WHAT CODE REGEX ARGUMENTS...: apply ends with that code, says why in one line, and changes nothing.
refused() {
  local what=$1 wanted=$2 regex=$3 said code=0
  shift 3
  said=$(sheath_on kind-worker apply "$@" 2>&1) || code=$?
  # The snapshot asks status, which reads the same file.
  printf '%s\n' "$good_config" >"$CLUSTER_RUN/kind-worker/config.yaml"
  check_equal "$what: exit $wanted" "$wanted" "$code"
  check_match "$what: the reason is given" "$regex" "$said"
  check_equal "$what: one line, and hints" 1 "$(grep -cv '^hint:' <<<"$said")"
  check_equal "$what: nothing changed" "$before" "$(snapshot kind-worker)"
}

# with_object FILE CONTENT WHAT REGEX
with_object() {
  printf '%s' "$2" >"$CLUSTER_RUN/nodes/$1"
  refused "$3" 2 "$4"
  rm "$CLUSTER_RUN/nodes/$1"
}

# other_node FROM TO: a good node object, with one text in it replaced by another.
other_node() {
  local object
  object=$(node_object other 77 8)
  printf '%s' "${object//"$1"/"$2"}"
}

cluster_up
check "apply on all nodes" cluster_apply
before=$(snapshot kind-worker)
good_config=$(<"$CLUSTER_RUN/kind-worker/config.yaml")

with_object extra.json '' "an empty object" 'extra\.json'
with_object extra.json '{"apiVersion": "v1", "kind": "No' "a truncated object" 'extra\.json'
with_object extra.json "$(node_object kind-worker2 4 2)" "a duplicate node" 'kind-worker2'
with_object extra.json "$(node_object other 77 2)" "two nodes with one pod CIDR" 'other.*kind-worker2|kind-worker2.*other'
with_object extra.json "$(node_object other 4 8)" "two nodes with one address" 'other.*kind-worker2|kind-worker2.*other'
with_object extra.json \
  "$(other_node '"annotations": {}' '"annotations": {"network.cilium.io/wg-pub-key": "c2hvcnQ="}')" \
  "a bad key" 'extra\.json.*wg-pub-key|wg-pub-key'
with_object extra.json "$(other_node 10.244.8.0/24 10.244.8.0/64)" "a CIDR outside its family" '10\.244\.8\.0/64'

refused "a device that does not exist" 2 'nosuch0' --devices nosuch0
config_set kind-worker nodeNmae typo
refused "an unknown key in the configuration" 2 'nodeNmae'
config_set kind-worker fastPath 7
refused "a value of the wrong type" 2 'fastPath'

chmod 755 "$CLUSTER_RUN" "$CLUSTER_RUN"/*/
unprivileged=(setpriv --bounding-set=-all --inh-caps=-all --reuid=65534 --clear-groups)
said=$(on kind-worker "${unprivileged[@]}" sheath apply 2>&1) && code=0 || code=$?
check_above "without privileges it fails" 0 "$code"
check_match "without privileges it says so" 'CAP_|root|EPERM|EACCES|privileg' "$said"
check_equal "without privileges nothing changed" "$before" "$(snapshot kind-worker)"
check "the pods still speak" ping_from pod-worker "$(pod_ip4 pod-worker2)"

# Only in a guest may the kernel be made to have no WireGuard.
if [[ $(hostname) == vmtest ]]; then
  each_node sheath_on unload
  modprobe -r wireguard
  echo /bin/false >/proc/sys/kernel/modprobe
  said=$(sheath_on kind-worker apply 2>&1) && code=0 || code=$?
  check_above "a kernel without WireGuard: it fails" 0 "$code"
  check_match "a kernel without WireGuard: it says what to enable" 'CONFIG_WIREGUARD|modprobe wireguard' "$said"
  check_equal "a kernel without WireGuard: nothing is left behind" "" \
    "$(on kind-worker ip link show cilium_wg0 2>/dev/null || true)"
  echo /sbin/modprobe >/proc/sys/kernel/modprobe
else
  skip "a kernel without WireGuard: it says what to enable" "not in a guest"
fi
finish
