# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Words to the user, exit codes, quoting: what every part of vmtest shares.

# Exit codes of vmtest/run that are not the command's own.
# shellcheck disable=SC2034 # used by the files that source this one
readonly exit_failed=1 exit_misuse=2 exit_splat=123 exit_timeout=124 exit_no_verdict=125

say() { printf 'vmtest: %s\n' "$*" >&2; }

hint() { printf 'hint: %s\n' "$*" >&2; }

# die CODE MESSAGE [HINT]
die() {
  say "$2"
  [[ -z ${3:-} ]] || hint "$3"
  exit "$1"
}

# Quotes one word so that any POSIX shell reads it back unchanged.
sh_quote() {
  local word=$1
  printf "'%s'" "${word//\'/\'\\\'\'}"
}

# need COMMAND PACKAGE: fails with the package's name when the command is not there.
need() {
  command -v "$1" >/dev/null ||
    die "$exit_failed" "$1 is not installed" "apt-get install -y --no-install-recommends $2"
}

need_root() {
  ((EUID == 0)) || die "$exit_failed" "needs root (it makes mount namespaces)" "run it with sudo"
}

cache_dir() { printf '%s/sheath\n' "${XDG_CACHE_HOME:-$HOME/.cache}"; }
