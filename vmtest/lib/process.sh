# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# Processes that never outlive the run.

# bound COMMAND… &: a process in the background that dies with this one, even when this one is killed.
bound() { exec setpriv --pdeathsig KILL "$@"; }

# died_booting: the guest is gone, and never got to its session. QEMU's emulator with several processors sometimes runs an
# instruction that another processor is just patching; each kernel patches thousands while it boots, and few later.
died_booting() { [[ -z $timed_out && ! -e $run/share/begun ]]; }

# Waits for the guest's end, for $timeout seconds at most (0: for ever). Sets timed_out.
wait_for_guest() {
  local timer=
  timed_out=
  if ((timeout > 0)); then
    bound sleep "$timeout" &
    timer=$!
    wait -n "$guest_pid" "$timer" || true
    kill -0 "$timer" 2>/dev/null || timed_out=yes
    kill "$timer" 2>/dev/null || true
    [[ -z $timed_out ]] || kill -KILL "$guest_pid" 2>/dev/null || true
  fi
  wait "$guest_pid" 2>/dev/null || true
  guest_pid=
}

# Kills these processes, if they still are there, and waits for their end.
end_processes() {
  local pid
  for pid in "$@"; do
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}
