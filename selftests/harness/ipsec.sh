# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What tests of IPsec ask of nodes and captures. Sourced behind cluster.sh.

# keys_in_use NODE: "3", or "3 4" during a rotation.
keys_in_use() { { sheath_on "$1" encrypt status -o json 2>/dev/null || true; } | jq -r '[.keys[].id] | sort | join(" ")'; }

# next_key NODE: the line that follows the node's key file; the file stays.
next_key() {
  local copy=$CLUSTER_RUN/next-key
  (umask 077 && cat "$CLUSTER_RUN/$1/keys" >"$copy")
  sheath key rotate --file "$copy" >/dev/null
  cat "$copy"
}

# xfrm_errors NODE COUNTER: of /proc/net/xfrm_stat.
# shellcheck disable=SC2016 # a field of awk, not of the shell
xfrm_errors() { on "$1" awk -v name="$2" '$1 == name { print $2 }' /proc/net/xfrm_stat; }

# esp_headers FILE: "SPI,sequence" of every ESP packet of a capture, inside VXLAN too.
esp_headers() { frames "$1" | sed -nE 's/.*ESP\(spi=0x([0-9a-f]+),seq=(0x[0-9a-f]+)\).*/\1,\2/p'; }

# count_other_spis FILE ID: ESP packets whose SPI has another key ID as its last digit.
count_other_spis() { esp_headers "$1" | grep -cv "^[0-9a-f]\{7\}$(printf %x "$2")," || true; }

# count_repeated_sequences FILE: (SPI, sequence number) pairs that more than one packet carries. Each is on br0 once; an
# SPI is its sender's own, but several peers have states under it, so the destination is part of it.
count_repeated_sequences() {
  frames "$1" | sed -nE 's/.*IP6? ([^ ]+) > ([^ ]+): ESP\(spi=(0x[0-9a-f]+),seq=(0x[0-9a-f]+)\).*/\1 \2 \3 \4/p' |
    sort | uniq -d | wc -l
}

# session_object NAME HOST PODS KEY [NODE]: the object of a node that nobody runs, with a session of the generation that NODE
# (kind-worker) is in, under the same pre-shared key.
session_object() {
  local annotations
  annotations=$(jq --arg key "$4" '.metadata.annotations | with_entries(select(.key | test("ipsec"))) |
    ."sheath.io/ipsec-pub-key" |= sub("=.*"; "=" + $key) |
    ."sheath.io/ipsec-spi-tag" |= sub("=.*"; "=0abcdef")' "$CLUSTER_RUN/nodes/${5-kind-worker}.sheath.json")
  node_object "$1" "$2" "$3" | jq --argjson annotations "$annotations" '.metadata.annotations += $annotations'
}
