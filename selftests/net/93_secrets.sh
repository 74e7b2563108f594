#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.1
# Keys over the life of a cluster: none is used twice with one sequence number, whatever happens to nodes; a retired one is
# nowhere; and none shows where it does not belong.
#
#   rotation, flush, reboot, kill -9 ─▶ all nodes' states + every ESP header on br0 ─▶ esp.py audit
set -euo pipefail
export CLUSTER_ENCRYPTION=ipsec
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/ipsec.sh"
ESP=$HARNESS_DIR/esp.py

# note_keys: which key is in which state now, on all nodes; only digests.
note_keys() {
  local node
  for node in "${NODES[@]}"; do on "$node" ip xfrm state; done | "$ESP" keys >>"$CLUSTER_RUN/keys-seen"
}

# brought_back WHAT NODE: it applies, then all do, and the pods of the two nodes concerned speak again.
brought_back() {
  check "$1: apply" sheath_on "$2" apply
  check "$1: all nodes apply" cluster_apply
  check "$1: the pods speak" ping_from pod-worker "$(pod_ip4 pod-worker2)"
  check "$1: and the other way" ping_from pod-worker2 "$(pod_ip4 pod-worker)"
  note_keys
}

reboot_keeping_run() {
  cp -a "$CLUSTER_RUN/$1/run" "$CLUSTER_RUN/run.kept"
  node_reboot "$1"
  rm -rf -- "${CLUSTER_RUN:?}/$1/run"
  mv "$CLUSTER_RUN/run.kept" "$CLUSTER_RUN/$1/run"
}

check_audit() {
  local forged=$CLUSTER_RUN/keys-forged
  output=$("$ESP" audit "$CLUSTER_RUN/keys-seen" "$CAPTURE_FILE" 2>&1) || true
  note "$output"
  check_match "no key served two ways, and none of them had a sequence number twice" \
    '^keys [0-9]{2,} packets [0-9]{3,} faults 0$' "$output"
  check_fails "the control: a sequence number more often than there were keys is found out" \
    "$ESP" audit "$CLUSTER_RUN/keys-seen" "$CAPTURE_FILE" "$CAPTURE_FILE"
  { cat "$CLUSTER_RUN/keys-seen" && head -n 1 "$CLUSTER_RUN/keys-seen" | sed 's/ 0x[0-9a-f]* / 0x00000103 /'; } >"$forged"
  check_fails "the control: one key under two SPIs is found out" "$ESP" audit "$forged" "$CAPTURE_FILE"
}

# hex_secrets FILE...: private halves and pre-shared keys of session and key files, in hex, a line each.
hex_secrets() {
  local file
  for file in "$@"; do
    case $file in
    */session-*)
      sed -n 4p "$file" | base64 -d | od -An -v -t x1 | tr -d ' \n' && echo
      sed -n 5p "$file" | cut -d' ' -f3 && echo
      ;;
    *) cut -d' ' -f3 "$file" && echo ;;
    esac
  done | grep .
}
state_keys() {
  local node
  for node in "${NODES[@]}"; do
    on "$node" ip xfrm state | grep -oE '(aead|auth|auth-trunc|enc) [^ ]+ 0x[0-9a-f]+' | sed 's/.* 0x//'
  done | sort -u
}

# evidence FOLDER: everything that a thief who has the key file and root would find, as files.
evidence() {
  local node map
  rm -rf -- "$1" && mkdir -p "$1"
  for node in "${NODES[@]}"; do
    on "$node" ip xfrm state >"$1/states-$node"
    on "$node" ip xfrm policy >"$1/policies-$node"
    for map in "$CLUSTER_BPFFS/$node"/*; do
      map_dump "$node" "${map##*/}" >"$1/map-$node-${map##*/}" 2>/dev/null || true
    done
    cp -r "$CLUSTER_RUN/$node" "$1/files-$node"
  done
  cp -r "$CLUSTER_RUN/nodes" "$1/objects"
}
# found_in FOLDER SECRETS: the files that hold one of them.
found_in() {
  printf '%s\n' "$2" >"$CLUSTER_RUN/secrets"
  find "$1" -type f -print0 | xargs -0 "$ESP" search "$CLUSTER_RUN/secrets"
}

cluster_up
check "apply on all four nodes" cluster_apply
note_keys

# --- no key and sequence number twice --------------------------------------------------------------------------------
serve pod-control
capture_start life
stream_start pod-worker3 "$(pod_ip4 pod-control)" 25
on kind-worker ip xfrm state flush
brought_back "states flushed by hand" kind-worker
node_reboot kind-worker2
brought_back "a node rebooted" kind-worker2
reboot_keeping_run kind-worker2
brought_back "a node rebooted and its run directory survived" kind-worker2
rm -rf -- "$CLUSTER_RUN/kind-worker/run/ipsec"
brought_back "a run directory is lost" kind-worker
key_install "$(next_key kind-worker)"
for node in "${NODES[@]:1}"; do sheath_on "$node" apply >/dev/null 2>&1; done
sheath_on kind-control-plane apply >/dev/null 2>&1
check_exit "apply, killed in a rotation" 137 env SHEATH_KILL_AT=2 "$CLUSTER_RUN/kind-worker/bin/sheath" apply
brought_back "apply was killed in a rotation" kind-worker
check_match "the other nodes lost nothing by any of it" ' lost 0 ' "$(stream_stop)"
capture_stop
check_encrypted "a cluster's life"
check_audit

# --- a retired key is nowhere ----------------------------------------------------------------------------------------
old=$({ state_keys && hex_secrets "$CLUSTER_RUN"/*/run/ipsec/session-4 | grep -E '^.{64}$'; } | sort -u)
evidence "$CLUSTER_RUN/before"
check_above "the search sees keys that are in use" 4 "$(found_in "$CLUSTER_RUN/before" "$old" | wc -l)"
rm -rf -- "$CLUSTER_RUN/before"
key_install "$(next_key kind-worker)"
check "the key is rotated" cluster_apply
evidence "$CLUSTER_RUN/after"
check_equal "with the key file, all files, states and maps, no old key is found" "" \
  "$(found_in "$CLUSTER_RUN/after" "$old")"
rm -rf -- "$CLUSTER_RUN/after"

# --- keys show nowhere -----------------------------------------------------------------------------------------------
secrets=$({ state_keys && hex_secrets "$CLUSTER_RUN"/*/keys "$CLUSTER_RUN"/*/run/ipsec/session-*; } | sort -u)
public=$CLUSTER_RUN/public && mkdir -p "$public"
for format in text json; do
  for command in "apply" "apply --dry-run" "status" "encrypt status" "config view" "node list" "endpoint list" "map list" \
    "map dump peers" "map dump heard" "key inspect --file $CLUSTER_RUN/kind-worker/keys"; do
    # shellcheck disable=SC2086 # words of a command
    sheath_on kind-worker $command -o "$format" >"$public/$format-${command//[ \/]/_}" 2>&1 || true
  done
done
cp "$CLUSTER_RUN"/*/last.log "$CLUSTER_RUN/nodes"/* "$public" 2>/dev/null || true
for map in "$CLUSTER_BPFFS"/kind-worker/*; do
  map_dump kind-worker "${map##*/}" >"$public/map-${map##*/}" 2>/dev/null || true
done

# A process in the middle of its work: what others see of it, and what it leaves behind when it crashes.
core_of() {
  local step=$1 pid
  (ulimit -c unlimited && SHEATH_SLOW_AT=$step exec "$CLUSTER_RUN/kind-worker/bin/sheath" apply --wait 60s) \
    >"$public/crashed-$step" 2>&1 &
  pid=$!
  sleep 2
  tr '\0' '\n' <"/proc/$pid/cmdline" >"$public/argv-$step"
  tr '\0' '\n' <"/proc/$pid/environ" >"$public/environment-$step"
  kill -SEGV "$pid"
  wait "$pid" || true
}
pattern=$(</proc/sys/kernel/core_pattern)
echo "$public/core.%p" >/proc/sys/kernel/core_pattern
key_install "$(next_key kind-worker)"
secrets+=$'\n'$(hex_secrets "$CLUSTER_RUN/kind-worker/keys")
core_of 1
core_of 2
echo "$pattern" >/proc/sys/kernel/core_pattern
check_equal "two processes crashed and left a core" 2 "$(find "$public" -name 'core.*' -size +100k | wc -l)"
check_equal "the cores hold what is no secret" 2 "$(grep -la kind-worker3 "$public"/core.* | wc -l)"
secrets+=$'\n'$({ state_keys && hex_secrets "$CLUSTER_RUN"/*/run/ipsec/session-*; } | sort -u)
check_equal "no key byte in outputs, objects, maps, argv, environment or cores" "" "$(found_in "$public" "$secrets")"
printf 'x %s x' "$(hex_secrets "$CLUSTER_RUN/kind-worker/keys")" >"$public/planted"
check_equal "the control: a planted key is found" "$public/planted" "$(found_in "$public" "$secrets")"
check "all nodes come to rest" cluster_apply

# --- bad key files ---------------------------------------------------------------------------------------------------
good=$(<"$CLUSTER_RUN/kind-worker/keys")
hex=$(cut -d' ' -f3 <<<"$good") name='rfc4106(gcm(aes))'
before=$(snapshot kind-worker)
for bad in "" "junk" "3" "3 $name $hex" "3 $name $hex 128 more 1" "0 $name $hex 128" "16 $name $hex 128" "x $name $hex 128" \
  "3 gcm(aes) $hex 128" "3 $name ${hex:1} 128" "3 $name ${hex:2} 128" "3 $name g${hex:1} 128" \
  "3 $name ${hex//[0-9a-f]/0} 128" "3 $name $hex 127" "3 $name $hex bits" "3 hmac(md5) $hex cbc(aes) $hex" \
  "$good"$'\n'"$good" "$(printf 'x%.0s' {1..2000})"; do
  key_install "$bad" kind-worker
  shown=${bad//"$hex"/KEY}
  code=0 output=$(sheath_on kind-worker apply 2>&1) || code=$?
  check_equal "a bad key file is refused in one line: \"${shown:0:40}\"" "2 1" \
    "$code $(grep -cv '^hint:' <<<"$output")"
  check_no_match "and without a byte of it" "${hex:2:8}" "$output"
done
key_install "$good" kind-worker
check_equal "none of them changed anything" "$before" "$(snapshot kind-worker)"
finish
