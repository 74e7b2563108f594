# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# What the command says, live: the guest writes files in the share, and tail follows them until qemu has ended.
# The files take any amount at any time, so a slow reader here never stops the guest.

# True when stdout and stderr of this process are the same thing; then the guest keeps their order.
same_stream() { [[ $(stat -L -c %d:%i /dev/fd/1) == "$(stat -L -c %d:%i /dev/fd/2)" ]]; }

follow() { bound tail -c +1 -s 0.05 --pid="$guest_pid" -f "$1"; }

prepare_streams() {
  mkdir -p "$run/share"
  : >"$run/share/stdout"
  : >"$run/share/stderr"
}

start_streams() {
  [[ -z $tty || ! -t 0 ]] || return 0
  follow "$run/share/stdout" &
  streams+=($!)
  follow "$run/share/stderr" >&2 &
  streams+=($!)
}

# Everything the guest wrote has been handed on when this returns.
finish_streams() {
  local pid
  for pid in "${streams[@]}"; do
    wait "$pid" 2>/dev/null || true
  done
  streams=()
}
