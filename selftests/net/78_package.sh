#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Debian package is installed, upgraded and removed, and Debian's Prometheus scrapes an agent.
# One kernel is enough: 6.12
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../harness/cluster.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../harness/agents.sh"

UNPACKED=$REPO_DIR/build/unpacked/prometheus
install_package() { dpkg --install --force-confold "$1"; }
installed() { dpkg-query -W -f '${db:Status-Abbrev}' sheath 2>/dev/null; }

# newer PACKAGE: the same with another version, in $NEWER.
newer() {
  NEWER=$CLUSTER_RUN/newer.deb
  dpkg-deb -R "$1" "$CLUSTER_RUN/newer"
  sed -i 's/^Version:.*/Version: 9.9.9-1/' "$CLUSTER_RUN/newer/DEBIAN/control"
  dpkg-deb -Znone -b "$CLUSTER_RUN/newer" "$NEWER" >/dev/null
}

prometheus_conf() {
  cat <<YAML
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: sheath
    static_configs: [{targets: ["127.0.0.1:9964"]}]
YAML
}

check_metrics() { sheath_on kind-worker metrics | "$UNPACKED/usr/bin/promtool" check metrics; }
# prometheus_says QUERY: the value of its one answer.
prometheus_says() {
  on kind-worker "$UNPACKED/usr/bin/promtool" query instant -o json http://127.0.0.1:9090 "$1" | jq -r '.[0].value[1]'
}
has_scraped() { [[ $(prometheus_says 'up{job="sheath"}') == 1 && $(prometheus_says 'sum(sheath_peer_ready)') == 3 ]]; }

stop_all() {
  local code=$?
  [[ -z ${prometheus-} ]] || kill "$prometheus" 2>/dev/null || true
  agents_end "$code"
}

cluster_up
trap stop_all EXIT
package=$(echo "$SHEATH_BUILD"/sheath_*.deb)
mkdir -p /var/lib/sheath
check "the package installs" install_package "$package"
check "its binary runs" /usr/sbin/sheath --version
check_equal "its unit is where systemd looks" 1 "$(find /lib/systemd/system/sheath.service | wc -l)"
newer "$package"
check "a newer one installs over it" install_package "$NEWER"
check_equal "it is installed" "ii " "$(installed)"
touch /var/lib/sheath/wireguard.key
check "it is removed" dpkg --remove sheath
check_equal "the binary is gone" "" "$(find /usr/sbin -name sheath)"
check "the private key stays" test -e /var/lib/sheath/wireguard.key
check "it is purged" dpkg --purge sheath
check_fails "and the private key with it" test -e /var/lib/sheath/wireguard.key

agents_start
check "agents come to rest" eventually 60 agents_settled
check "what promtool checks is good" check_metrics
mkdir "$CLUSTER_RUN/prometheus"
prometheus_conf >"$CLUSTER_RUN/prometheus.yml"
# Started without a function between: it is ended by its ID.
sheath_in_netns "/run/netns/${CLUSTER_PREFIX}kind-worker" "$UNPACKED/usr/bin/prometheus" \
  --config.file="$CLUSTER_RUN/prometheus.yml" --storage.tsdb.path="$CLUSTER_RUN/prometheus" \
  --web.listen-address=127.0.0.1:9090 >"$CLUSTER_RUN/prometheus.log" 2>&1 &
prometheus=$!
check "Prometheus scrapes the agent, and has its peers" eventually 60 has_scraped
check_equal "and what it is" 1 "$(prometheus_says 'sheath_build_info{version="0.1.0"}')"
finish
