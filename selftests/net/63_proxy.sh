#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One kernel is enough: 6.12
# A proxy in the host's namespace sends on what pods say: under the node's address, or under the pod's own (transparent),
# as the L7 proxies of CNIs do.
#
#   pod-worker ─▶ kind-worker:8080  nginx ─▶ from 172.18.0.2    ─▶ pod-worker2:7000   node traffic
#   pod-worker ─▶ kind-worker:8081  nginx ─▶ from 10.244.1.195  ─▶ pod-worker2:7000   a pod's, and must be encrypted
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/two_nodes.sh"

readonly UNPACKED=$REPO_DIR/build/unpacked

# proxy_server PORT FAMILY [LINE]: a server of nginx's stream module, with that line in it.
proxy_server() {
  local address to
  address=$("node_ip$2" kind-worker) to=$(pod_ip pod-worker2 "$2")
  [[ $2 == 4 ]] || address=[$address] to=[$to]
  echo "server { listen $address:$1; proxy_pass $to:7000; proxy_half_close on; ${3-} }"
}

proxy_config() {
  local family
  echo "load_module $UNPACKED/libnginx-mod-stream/usr/lib/nginx/modules/ngx_stream_module.so;
user root;
pid $CLUSTER_RUN/nginx.pid;
error_log $CLUSTER_RUN/nginx.log;
events {}
stream {"
  for family in 4 6; do
    proxy_server 8080 "$family"
    # shellcheck disable=SC2016 # nginx's variable
    proxy_server 8081 "$family" 'proxy_bind $remote_addr transparent;'
  done
  echo "}"
}

# Answers to the proxy's sockets that have a pod's address have to end at the proxy: the mark that CNIs use for it. ICMP too
# (no `-p tcp`): the proxy sends more than fits into the tunnel until it has been told.
divert_answers() {
  local family tables
  for family in 4 6; do
    tables=iptables
    [[ $family == 4 ]] || tables=ip6tables
    on kind-worker "$tables" -w -t mangle -A PREROUTING -m socket --transparent -j MARK --set-mark 0x200/0xf00
    on kind-worker ip "-$family" rule add fwmark 0x200/0xf00 lookup 100 priority 9
    on kind-worker ip "-$family" route add local default dev lo table 100
  done
}

# proxied WHAT PORT: both families.
proxied() {
  local family
  for family in 4 6; do
    check "$1, IPv$family: 300 kB there and back" \
      traffic pod-worker tcp "$("node_ip$family" kind-worker)" --port "$2" --bytes 300000
  done
}

cluster_up
serve pod-worker2
divert_answers
proxy_config >"$CLUSTER_RUN/nginx.conf"
check "nginx starts" on kind-worker "$UNPACKED/nginx/usr/sbin/nginx" -c "$CLUSTER_RUN/nginx.conf" -e "$CLUSTER_RUN/nginx.log"
trap 'kill "$(<"$CLUSTER_RUN/nginx.pid")" || true; cluster_down' EXIT
check "apply" cluster_apply

capture_start transparent
proxied "a transparent proxy" 8081
capture_stop
check_encrypted "a transparent proxy"
check_equal "a transparent proxy: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"

before=$(metric kind-worker uplink_egress node_plain)
capture_start proxied-plain
proxied "a proxy without node encryption" 8080
capture_stop
check_above "a proxy without node encryption: what it sends is node traffic, and readable" 0 "$(count_marked "$CAPTURE_FILE")"
check_above "a proxy without node encryption: and counted as node_plain" "$before" \
  "$(metric kind-worker uplink_egress node_plain)"

all_set nodeEncryption true
check "node encryption: apply" cluster_apply
check "node encryption: and once more" cluster_apply
capture_start proxied
proxied "a proxy with node encryption" 8080
proxied "a transparent proxy with node encryption" 8081
capture_stop
check_encrypted "proxies with node encryption"
check_equal "proxies with node encryption: nothing else is on the wire" 0 "$(count_unexpected "$CAPTURE_FILE")"
finish
