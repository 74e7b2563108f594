# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The IPsec chapter of the lab and its exam, in steps. Sourced by play.

# The lab's Secret: one file, which every node gets a copy of.
SECRET=$CLUSTER_RUN/cilium-ipsec-keys

# show_secret: the key file as the lab prints it. The lab shows its keys; so its outputs are for the lab alone.
show_secret() { at server "cut -d' ' -f1,2,4 $SECRET   # all but the key itself"; }

# install_secret: every node's copy, as kubelet would bring it.
install_secret() { key_install "$(<"$SECRET")"; }

# make_secret ID
make_secret() {
  step "A pre-shared key: ID, algorithm, key, ICV size"
  at server "umask 077; sheath key generate --id $1 >$SECRET" || cross "no key was made"
  show_secret || true
  at server "sheath key inspect --file $SECRET" || cross "the key cannot be read"
  verify "it is key $1, AES-GCM 128" grep -qE "^$1 rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128$" "$SECRET"
  install_secret
}

# On all nodes at once, until they have heard each other; the end of what one of them says.
apply_everywhere() {
  each_node sheath_on apply --wait 60s || cross "sheath apply failed"
  tail -n 3 "$CLUSTER_RUN/$FROM_NODE/last.log" | came_back
}

install_ipsec() {
  step "Install: IPsec, on every node at once"
  at "$FROM_NODE" "cat $CLUSTER_RUN/$FROM_NODE/config.yaml" || true
  at "$FROM_NODE" "sheath apply --dry-run" 40 || cross "the plan could not be made"
  typed "every node" "sheath apply --wait 60s"
  apply_everywhere
  OUTPUT=$(sheath_on "$FROM_NODE" apply --dry-run -o json) || true
  verify "a further apply finds nothing to do" test "$(jq '.steps | length' <<<"$OUTPUT")" = 0
}

# keys_in_use NODE
keys_in_use() { sheath_on "$1" encrypt status -o json | jq -r '[.keys[].id] | sort | join(" ")'; }

show_ipsec_status() {
  step "Status"
  at "$TO_NODE" "sheath status | grep Encryption" || true
  verify "IPsec on cilium_xfrm0, three peers" \
    grep -qE 'IPsec +\[NodeEncryption: Disabled, cilium_xfrm0 \(.*Peers: 3\)\]' <<<"$OUTPUT"
  at "$TO_NODE" "sheath config view | grep encryption" || true
  verify "the configuration says so too" grep -q 'encryption: ipsec' <<<"$OUTPUT"
  at "$TO_NODE" "sheath encrypt status" 40 || cross "encrypt status says that something is wrong"
  verify "one key in use: $1" test "$(keys_in_use "$TO_NODE")" = "$1"
}

ipsec_traffic() {
  local device=eth0
  [[ $CLUSTER_ROUTING != vxlan ]] || device=cilium_vxlan
  step "Traffic from $FROM to $TO, watched twice: on the node, and on the wire"
  watch_device "$device"
  capture_start ipsec
  marked_traffic
  capture_stop
  unwatch_device
  typed "$FROM_NODE" "tcpdump -n -i $device esp"
  frames "$INNER" esp | head -n 9 | came_back
  verify "ESP, its SPI ends in the key ID $1" grep -qE "ESP\(spi=0x[0-9a-f]{7}$1,seq=0x[0-9a-f]+\)" <(frames "$INNER" esp)
  judge_wire "$([[ $CLUSTER_ROUTING == vxlan ]] && echo 'ESP inside VXLAN' || echo ESP)"
}

# state_packets NODE: what its ESP states have carried, summed up.
state_packets() {
  on "$1" ip -s xfrm state | sed -nE 's/.*\(bytes\), ([0-9]+)\(packets\).*/\1/p' |
    awk '{ sum += $1 } END { print sum + 0 }'
}

show_xfrm() {
  local before
  step "The kernel's view: policies and states"
  at "$FROM_NODE" "ip -s xfrm policy | grep -A14 '^src 10.244.'" 18 || true
  verify "a policy under the peer's mark, key ID $1" grep -qE "mark 0x[0-9a-f]{1,4}${1}e00/0xffffff00" <<<"$OUTPUT"
  at "$FROM_NODE" "ip -s xfrm state | grep -A1 current" 8 || true
  before=$(state_packets "$FROM_NODE")
  ping_from "$FROM" "$(pod_ip4 "$TO")" >/dev/null || cross "no ping"
  at "$FROM_NODE" "ip -s xfrm state | grep -A1 current" 8 || true
  verify "the counters rise" test "$(state_packets "$FROM_NODE")" -gt "$before"
}

# rotate FROM-ID TO-ID: under a stream of datagrams.
rotate() {
  local tally
  step "Key rotation, under traffic"
  capture_start rotation
  stream_start "$FROM" "$(pod_ip4 "$TO")"
  at server "sheath key rotate --file $SECRET" || cross "the key was not rotated"
  install_secret
  typed "every node" "sheath apply     # draw and publish a session, then install it beside the old"
  for _ in 1 2 3 4; do
    each_node sheath_on apply || cross "sheath apply failed"
    [[ $(keys_in_use "$FROM_NODE") != "$1 $2" ]] || break
  done
  at "$FROM_NODE" "sheath encrypt status" 40 || true
  verify "during the transition the new and the old key are in use" test "$(keys_in_use "$FROM_NODE")" = "$1 $2"
  typed "every node" "sheath apply --wait 60s"
  apply_everywhere
  at "$FROM_NODE" "sheath encrypt status" 40 || cross "encrypt status says that something is wrong"
  verify "then only the new one" test "$(keys_in_use "$FROM_NODE")" = "$2"
  tally=$(stream_stop) || true
  came_back <<<"$tally"
  verify "not one datagram was lost" grep -q ' lost 0 ' <<<"$tally"
  capture_stop
  judge_wire "encrypted packets, under both keys"
}

play_ipsec() {
  show_cluster
  sensitivity
  make_secret 3
  install_ipsec
  show_ipsec_status 3
  ipsec_traffic 3
  show_xfrm 3
  rotate 3 4
  closed_by_default
  verdict
}

play_exam() {
  local keyid newkeyid
  show_cluster
  sensitivity
  make_secret 7
  install_ipsec
  step "The exam: rotate the IPsec key"
  at server "read -r KEYID ALGO PSK KEYSIZE <$SECRET; echo \$KEYID" || true
  keyid=$OUTPUT
  rotate 7 8
  at server "read -r NEWKEYID ALGO NEWPSK KEYSIZE <$SECRET; echo \$NEWKEYID" || true
  newkeyid=$OUTPUT
  verify "the key ID went from $keyid to $newkeyid" test "$newkeyid" = "$((keyid + 1))"
  ipsec_traffic 8
  verdict
}
