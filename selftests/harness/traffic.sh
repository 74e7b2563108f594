# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The first oracle: does traffic arrive? Pings and sheath_traffic, between pods, with the marked payload.

TRAFFIC_PORT=7000
TRAFFIC_PIDFILES=()

# serve WHERE: answers TCP and UDP in that namespace; listens when the command returns.
serve() {
  local pidfile=$CLUSTER_RUN/$1.pid
  in_netns "$1" sheath_traffic serve --port "$TRAFFIC_PORT" --daemon "$pidfile"
  TRAFFIC_PIDFILES+=("$pidfile")
}

traffic_stop_all() {
  local pidfile
  for pidfile in "${TRAFFIC_PIDFILES[@]}"; do kill "$(<"$pidfile")" 2>/dev/null || true; done
  TRAFFIC_PIDFILES=()
}

# ping_from WHERE ADDRESS [OPTIONS...]: three marked pings, quick after another; all must be answered.
ping_from() {
  local from=$1 to=$2
  shift 2
  in_netns "$from" ping -n -c 3 -i 0.05 -W 3 -p "$MARKER_HEX" "$@" "$to"
}

# ping_lost WHERE ADDRESS: no answer to any of three pings.
ping_lost() { ! in_netns "$1" ping -n -c 3 -i 0.05 -W 1 -p "$MARKER_HEX" "$2" | grep 'bytes from'; }

# echoes_seen WHERE: echo requests that this namespace has received, both families.
echoes_seen() {
  # shellcheck disable=SC2016 # fields of awk, not of the shell
  in_netns "$1" awk '/^Icmp:/ && $10 ~ /^[0-9]+$/ { sum += $10 } /^Icmp6InEchos / { sum += $2 } END { print sum + 0 }' \
    /proc/self/net/snmp /proc/self/net/snmp6
}

# traffic WHERE COMMAND ADDRESS [OPTIONS...]: sheath_traffic as a client.
traffic() {
  local from=$1 command=$2 to=$3
  shift 3
  in_netns "$from" sheath_traffic "$command" "$to" --port "$TRAFFIC_PORT" --marker "$MARKER" "$@"
}

# stream_start FROM TO-ADDRESS [INTERVAL-MS]: numbered datagrams, one each few milliseconds, until stream_stop.
stream_start() {
  rm -f "$CLUSTER_RUN/stream.stop"
  traffic "$1" udp "$2" --interval-ms "${3-5}" --until "$CLUSTER_RUN/stream.stop" >"$CLUSTER_RUN/stream.log" 2>&1 &
}

# stream_stop: prints the tally; fails when a datagram was lost.
stream_stop() {
  touch "$CLUSTER_RUN/stream.stop"
  tallied "$CLUSTER_RUN/stream.log"
  cat "$CLUSTER_RUN/stream.log"
  grep -q ' lost 0 ' "$CLUSTER_RUN/stream.log"
}

# tallied LOG...: waits until the clients have written their tally or why there is none. They are waited for by what they
# write: the caller is mostly a subshell, and a subshell has no children to wait for.
tallied() {
  local log
  for log in "$@"; do eventually 30 test -s "$log" || true; done
}

# pings_start FROM TO-ADDRESS: marked pings, fifty a second, until pings_stop. ping is started without a function between:
# the process ID has to be its own, since it is spoken to by signals.
pings_start() {
  sheath_in_netns "/run/netns/${CLUSTER_PREFIX}$1" ping -n -i 0.02 -p "$MARKER_HEX" "$2" >"$CLUSTER_RUN/pings.log" 2>&1 &
  PINGS_PID=$!
}

# pings_stop: prints "pings sent N lost M". N are those that were sent when it was called, and their answers have 30 s: ping
# itself, when it ends, takes for lost what is still on its way.
pings_stop() {
  local log=$CLUSTER_RUN/pings.log sent
  kill -QUIT "$PINGS_PID"
  eventually 10 grep -q '[0-9]/[0-9]* packets' "$log" || true
  sent=$(sed -nE 's,.*[0-9]/([0-9]+) packets.*,\1,p' "$log")
  eventually 30 pings_answered "$log" "${sent:-0}" || true
  kill -INT "$PINGS_PID"
  echo "pings sent ${sent:-0} lost $((${sent:-0} - $(pings_answered_to "$log" "${sent:-0}")))"
}

# pings_answered_to LOG N: how many of the first N have been answered.
pings_answered_to() {
  sed -nE 's/.* icmp_seq=([0-9]+) .*/\1/p' "$1" | awk -v last="$2" '$1 <= last && !seen[$1]++ { count++ } END { print count + 0 }'
}

pings_answered() { (($(pings_answered_to "$1" "$2") == $2)); }

# mesh_start INTERVAL-MS: numbered datagrams between all pairs of the four nodes, and their answers, until mesh_stop. Both
# directions of each of six pairs: 12 packets an interval.
MESH_PODS=(pod-control pod-worker pod-worker2 pod-worker3)
mesh_start() {
  local i j
  rm -f "$CLUSTER_RUN/mesh.stop" "$CLUSTER_RUN"/mesh-*.log
  for ((i = 0; i < ${#MESH_PODS[@]}; i++)); do
    for ((j = i + 1; j < ${#MESH_PODS[@]}; j++)); do
      traffic "${MESH_PODS[i]}" udp "$(pod_ip4 "${MESH_PODS[j]}")" --interval-ms "$1" --until "$CLUSTER_RUN/mesh.stop" \
        >"$CLUSTER_RUN/mesh-$i$j.log" 2>&1 &
    done
  done
}

# mesh_stop: prints "sent N lost M", over all pairs.
mesh_stop() {
  touch "$CLUSTER_RUN/mesh.stop"
  tallied "$CLUSTER_RUN"/mesh-*.log
  awk '$1 == "sent" { sent += $2; lost += $6; pairs++ } END { print "pairs " pairs " sent " sent " lost " lost }' \
    "$CLUSTER_RUN"/mesh-*.log
}
