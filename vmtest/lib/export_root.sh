#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Serves the machine's root to a guest, read-only, from a mount namespace of its own:
#
#   EXPORT/root      the root and every real file system mounted in it, read-only
#   EXPORT/modules   the kernel's modules, read-only
#   EXPORT/share     the run's own folder, and in it artefacts/: the only places a guest can write to
#
# usage: export_root.sh RUN ARTEFACTS MODULES; becomes virtiofsd, which ends with its qemu.
set -euo pipefail

readonly run=$1 artefacts=$2 modules=$3 export=$1/export

# Mount points of real file systems, parents first. What the guest has of its own is left out.
real_mounts() {
  local target
  while read -r _ _ _ _ target _; do
    printf '%b\n' "$target"
  done </proc/self/mountinfo | grep -Ev '^/(proc|sys|dev|run)(/|$)|^/$' | grep -Fv "$run" || true
}

bind_read_only() {
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
}

export_tree() {
  local target
  bind_read_only / "$export/root"
  while IFS= read -r target; do
    [[ -e $export/root$target ]] || continue # hidden by a later mount
    bind_read_only "$target" "$export/root$target"
  done < <(real_mounts)
  [[ -z $modules ]] || bind_read_only "$modules" "$export/modules"
  mount --bind "$run/share" "$export/share"
  mount --bind "$artefacts" "$export/share/artefacts"
}

mkdir -p "$export"/{root,share} "$run/share/artefacts"
[[ -z $modules ]] || mkdir -p "$export/modules"
export_tree
exec /usr/lib/qemu/virtiofsd --socket-path="$run/virtiofs.sock" -o source="$export" \
  -o cache=always -o sandbox=chroot -o log_level=warn
