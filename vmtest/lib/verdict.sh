# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# Whether a run passed. Only the guest's own verdict counts: a line with the run's token and the command's
# exit code, as the last of a file. How qemu ended decides nothing.

# What the kernel says when it has gone wrong. A WARNING counts at the start of a message only: the kernel's
# words about mitigations carry it inside.
splat_pattern='^(\[ *[0-9.]+\] *)?(\[ *[TC][0-9]+\] *)?(WARNING: |BUG: |INFO: (rcu|task|possible|suspicious|trying))'
splat_pattern+='|Oops[: ]|Kernel panic|general protection fault|unable to handle (kernel|page fault)'
splat_pattern+='|self-detected stall|detected stalls on|suspicious RCU|KASAN:|KFENCE:|KCSAN:|UBSAN:|blocked for more than'
splat_pattern+='|possible (circular|recursive|irq) lock|inconsistent lock state|refcount_t:|scheduling while atomic|soft lockup'
splat_pattern+='|hard LOCKUP|list_(add|del) corruption|unregister_netdevice: waiting for'
readonly splat_pattern

# splats FILE: each splat of a kernel log with the lines that follow it, up to the end of its trace.
splats() {
  awk -v pattern="$splat_pattern" '
    $0 ~ pattern { left = 40 }
    left > 0 { print; left-- }
    { in_trace = /Call Trace|\?|\+0x|RIP|R[0-9A-Z]+:|Modules|CPU:|<\/?TASK>|Code:|FS:|CS:/ || $0 ~ pattern }
    left > 2 && (/---\[ end (trace|Kernel panic)/ || !in_trace) { left = 2 }
  ' "$1"
}

# guest_code: the command's exit code as the guest reported it; fails without the guest's verdict, which is
# one only with the kernel's log beside it.
guest_code() {
  local word verb code
  [[ -s $run/share/verdict && -f $run/share/dmesg ]] || return 1
  read -r word verb code < <(tail -n 1 "$run/share/verdict")
  [[ $word == "$token" && $verb == exit && $code =~ ^[0-9]+$ ]] && printf '%s\n' "$code"
}

show_console() {
  [[ -f $run/console ]] || return 0
  say "the last lines of the guest's console:"
  tail -n 45 "$run/console" | sed 's/\r$//; s/^/  /' >&2
  [[ ! -s $run/qemu.log ]] || sed 's/^/  qemu: /' "$run/qemu.log" >&2
  [[ ! -s $run/virtiofsd.log ]] || sed 's/^/  virtiofsd: /' "$run/virtiofsd.log" >&2
}

# check_splats LOG: reports what went wrong in the kernel; fails when something did.
check_splats() {
  local found
  found=$(splats "$1")
  [[ -n $found ]] || return 0
  say "the kernel complained:"
  printf '%s\n' "$found" | sed 's/^/  /' >&2
  return 1
}

# Exits with the run's code: the command's own where it failed, else what vmtest has to say.
conclude() {
  local code
  if [[ -n $timed_out ]]; then
    show_console
    die "$exit_timeout" "timed out after $timeout s; the guest was killed"
  fi
  if ! code=$(guest_code); then
    [[ ! -f $run/console ]] || check_splats "$run/console" || true
    show_console
    die "$exit_no_verdict" "the guest ended without a verdict"
  fi
  if ! check_splats "$run/share/dmesg"; then
    ((code != 0)) || code=$exit_splat
  fi
  exit "$code"
}
