# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The second oracle: what an onlooker sees on the wire. tcpdump listens at the bridge, outside of every node, and its
# file is judged by tcpdump's own filters and by a search for the marked payload, never by code of ours.

# What every payload of a test holds: 16 bytes, so that `ping -p` can carry it as well.
MARKER=SHEATH-MARKED-42
# shellcheck disable=SC2034 # used by traffic.sh
MARKER_HEX=5348454154482d4d41524b45442d3432

declare -A CAPTURE_PID=()
CAPTURE_FILE=
CAPTURE_SERIAL=0

# A datagram with a text of its own, from `outside` to the bridge: it shows in the file once everything before it does.
sentinel_seen() {
  in_netns outside bash -c "printf %s '$2' >/dev/udp/172.18.0.1/9" 2>/dev/null || true
  LC_ALL=C grep -qaF -- "$2" "$1"
}

# capture_start NAME: begins a capture, and returns when it has seen a first packet. Sets CAPTURE_FILE.
capture_start() {
  CAPTURE_FILE=$CLUSTER_RUN/$1.pcap
  CAPTURE_SERIAL=$((CAPTURE_SERIAL + 1))
  # The ring has slots of the snapshot length: a short one makes many slots, and bursts are not lost.
  # Not through a function: in the background that would be a shell, and its process ID not tcpdump's.
  sheath_in_netns "/run/netns/${CLUSTER_PREFIX}underlay" \
    tcpdump -i br0 -n -s 2048 -U -B 32768 --immediate-mode -Z root -w "$CAPTURE_FILE" 2>"$CAPTURE_FILE.log" &
  CAPTURE_PID[$CAPTURE_FILE]=$!
  if ! eventually 20 sentinel_seen "$CAPTURE_FILE" "sentinel-begin-$CAPTURE_SERIAL"; then
    flunk "the capture $1 starts" "$(cat "$CAPTURE_FILE.log")"
    exit 1
  fi
}

# capture_stop: ends the capture, after everything sent so far is in its file. One that lost packets proves nothing.
capture_stop() {
  local pid=${CAPTURE_PID[$CAPTURE_FILE]}
  eventually 20 sentinel_seen "$CAPTURE_FILE" "sentinel-end-$CAPTURE_SERIAL" ||
    flunk "the capture ends with its sentinel"
  kill "$pid"
  wait "$pid" || true
  unset "CAPTURE_PID[$CAPTURE_FILE]"
  grep -q '^0 packets dropped by kernel' "$CAPTURE_FILE.log" ||
    flunk "the capture is complete" "$(cat "$CAPTURE_FILE.log")"
}

capture_stop_all() {
  local pid
  for pid in "${CAPTURE_PID[@]}"; do kill "$pid" 2>/dev/null || true; done
  CAPTURE_PID=()
}

# frames FILE FILTER...: the packets that match, one line each.
frames() { tcpdump -n -r "$1" "${@:2}" 2>/dev/null; }
count_frames() { frames "$@" | wc -l; }

count_marked() { { LC_ALL=C grep -oaF -- "$MARKER" "$1" || true; } | wc -l; }
readonly POD_ADDRESSES='((ip and net 10.244.0.0/16) or (ip6 and net fd00:10:244::/56))'
# Frames whose IP header names a pod, in clear; behind a VLAN tag too.
count_pod_frames() { count_frames "$1" "$POD_ADDRESSES or (vlan and $POD_ADDRESSES)"; }
# What should have been encrypted and was not: frames of pods in clear, and marked payload anywhere.
count_plaintext() { echo $(($(count_pod_frames "$1") + $(count_marked "$1"))); }
count_wireguard() { count_frames "$1" 'udp port 51871'; }
# In VXLAN, ESP is the protocol of the inner IPv4 header: UDP 8, VXLAN 8, Ethernet 14, and the tenth byte from there.
readonly ESP_IN_VXLAN='(ip and udp dst port 8472 and udp[39] == 50)'
# What encrypted packets of this cluster look like on the wire.
encrypted_filter() {
  case $CLUSTER_ENCRYPTION/$CLUSTER_ROUTING in
    ipsec/vxlan) echo "$ESP_IN_VXLAN" ;;
    ipsec/*) echo '(ip proto 50 or ip6 proto 50)' ;;
    *) echo 'udp port 51871' ;;
  esac
}
count_encrypted() { count_frames "$1" "$(encrypted_filter)"; }
# Encrypted packets that came in fragments: the inner ones were larger than the tunnel could carry.
count_outer_fragments() { count_frames "$1" '(ip[6:2] & 0x3fff != 0) or (ip6[6] == 44)'; }
# Everything but what is encrypted and what links need to live: ARP, neighbour discovery, multicast groups, our sentinels.
count_unexpected() {
  count_frames "$1" "not ($(encrypted_filter) or arp or host 172.18.0.1 or
    (icmp6 and (ip6[40] >= 130 and ip6[40] <= 143)) or (ip6 multicast and ip6[6] == 0))"
}

# check_encrypted WHAT [FILE]: the onlooker's verdict on a capture in which WHAT took place.
check_encrypted() {
  local file=${2-$CAPTURE_FILE}
  check_above "$1: the wire carries encrypted packets ($CLUSTER_ENCRYPTION)" 0 "$(count_encrypted "$file")"
  check_silent "$1" "$file"
}

# check_silent WHAT [FILE]: not one byte of it is on the wire in clear.
check_silent() {
  local file=${2-$CAPTURE_FILE}
  check_equal "$1: no pod address and no marked byte in clear" 0 "$(count_plaintext "$file")"
}
