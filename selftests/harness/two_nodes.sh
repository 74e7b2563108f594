# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Makes the cluster smaller: kind-worker and kind-worker2, and their pods. Sourced behind cluster.sh, before cluster_up.

# shellcheck disable=SC2034 # cluster.sh goes by it
NODES=(kind-worker kind-worker2)
# shellcheck disable=SC2034 # and by it
PODS=(pod-worker pod-local pod-worker2)
unset 'NODE_PORT[kind-control-plane]' 'NODE_PORT[kind-worker3]'
