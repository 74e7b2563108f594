# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# An operator's mistakes, and what `sheath verify` says of them. Sourced by play.

# prove SENTENCE REGEX [CODE]: `sheath verify`, its exit code, and a line of its output.
prove() {
  local code=0
  at "$FROM_NODE" "sheath verify --timeout 2s" 30 || code=$?
  verify "exit code ${3-0}" test "$code" = "${3-0}"
  verify "$1" grep -qE "$2" <<<"$OUTPUT"
}

all_is_well() {
  step "Is what goes to each peer encrypted, now?"
  prove "each peer's pods, in both families" '^encrypted: 6 of the 6 probes'
}

# By its pin where the kernel has tcx links, by tc where not.
detach_program() {
  local link=$CLUSTER_BPFFS/$FROM_NODE/links/uplink_egress_eth0
  if [[ -e $link ]]; then
    at "$FROM_NODE" "rm $link"
  else
    at "$FROM_NODE" "tc filter del dev eth0 egress"
  fi
}

detached() {
  step "A mistake: somebody takes a program off the uplink"
  typed "$FROM_NODE" "sheath verify --watch &"
  audit_start "$FROM_NODE"
  detach_program || cross "the program is still there"
  typed "$FROM" "ping -c 3 $(pod_ip4 "$TO")"
  ping_lost "$FROM" "$(pod_ip4 "$TO")" || cross "the peer took plaintext"
  audit_stop
  came_back <<<"$AUDIT"
  verify "the audit saw the pod's packets in clear" \
    grep -qF "plaintext leaving on eth0: ICMP, $(pod_ip4 "$FROM") to $(pod_ip4 "$TO")" <<<"$AUDIT"
  say "  The peer refused them: it is strict. But they were on the wire. What sheath verify says:"
  prove "it is plaintext, and why" "no program of Sheath's is attached to eth0" 3
}

mended() {
  step "Mended by sheath apply"
  at "$FROM_NODE" "sheath apply" 8 || cross "sheath apply failed"
  prove "all is well again" '^encrypted: 6 of the 6 probes'
}

removed() {
  local key
  step "Another mistake, which closes instead of opening: a peer is deleted from the tunnel device"
  key=$(on "$TO_NODE" wg show cilium_wg0 public-key)
  at "$FROM_NODE" "wg set cilium_wg0 peer $key remove" || cross "wg failed"
  prove "nothing leaks, and nothing is proven" "$TO_NODE is no peer of the device" 1
  at "$FROM_NODE" "sheath apply" 4 || cross "sheath apply failed"
}

last_look() {
  step "Traffic, as the onlooker on the wire sees it"
  capture_start verified
  marked_traffic
  capture_stop
  judge_wire "UDP 51871"
}

play_verify() {
  show_cluster
  sensitivity
  install_wireguard
  all_is_well
  detached
  mended
  removed
  last_look
  verdict
}
