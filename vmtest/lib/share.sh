# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# What the host tells the guest: files in the share, read by guest/session.

# The environment of the command: what a login would have, what says how to print, and what was asked for.
command_environment() {
  local name
  printf '%s\n' "HOME=$HOME" "PATH=$PATH" "USER=root" "LOGNAME=root" "SHELL=/bin/bash" \
    "SHEATH_GUEST=$([[ -n $native ]] && echo native || echo vm)" \
    "SHEATH_ARTEFACTS=$1"
  for name in TERM COLORTERM NO_COLOR LANG LC_ALL LC_CTYPE; do
    [[ -z ${!name-} ]] || printf '%s\n' "$name=${!name}"
  done
}

# The command as a POSIX script; env by its full name, since the guest's shell would take its own applet.
write_command() {
  local words=("$(type -P env)" -i -C "$PWD") inherited word
  mapfile -t inherited < <(command_environment "$1")
  words+=("${inherited[@]}" "${environment[@]}" "${command[@]}")
  {
    printf 'exec'
    for word in "${words[@]}"; do printf ' %s' "$(sh_quote "$word")"; done
    echo
  } >"$run/share/command"
}

write_settings() {
  local rows=24 columns=80
  [[ ! -t 0 ]] || read -r rows columns < <(stty size)
  {
    printf 'token=%s\n' "$token"
    printf 'tty=%d\n' "${tty:+1}"
    printf 'merged=%d\n' "$(same_stream && echo 1 || echo 0)"
    printf 'rows=%d\ncolumns=%d\n' "$rows" "$columns"
  } >"$run/share/settings"
}
