#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Inside the namespaces of a run without a guest, or inside a guest of vng: the mounts a test expects, the command, the verdict.
# usage: native_session.sh RUN TOKEN
set -euo pipefail

readonly share=$1/share token=$2

mount -t sysfs sysfs /sys # that of the new network namespace
mount -t bpf -o mode=700 bpf /sys/fs/bpf
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null || true
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null || true
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/netns /run/lock
ip link set lo up

code=0
sh "$share/command" || code=$?
dmesg >"$share/dmesg"
printf '%s exit %s\n' "$token" "$code" >"$share/verdict"
