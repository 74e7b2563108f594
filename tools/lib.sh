# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the tools share: words on the terminal, the build. Sourced.

SHEATH_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export SHEATH_ROOT

if [[ -t 2 && -z ${NO_COLOR-} && ${TERM-dumb} != dumb ]]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' RED='' GREEN='' PLAIN=''
fi
export BOLD DIM RED GREEN PLAIN

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

usage_error() {
  echo "${0##*/}: $*" >&2
  echo "hint: ${0##*/} --help" >&2
  exit 2
}

progress() { echo "${DIM}· $*${PLAIN}" >&2; }

# Runs a command with its output in the file; shows the end of it only when the command fails.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if "$@" >"$log" 2>&1; then return 0; fi
  echo "${RED}failed:${PLAIN} $* (all of it in $log)" >&2
  tail -n 40 "$log" >&2
  return 1
}

# build PRESET [TARGET…]
build() {
  local preset=$1
  shift
  progress "building ($preset)"
  if [[ ! -f $SHEATH_ROOT/build/$preset/build.ninja ]]; then
    quietly "$SHEATH_ROOT/build/logs/configure-$preset.log" \
      cmake -S "$SHEATH_ROOT" --preset "$preset" || return 1
  fi
  quietly "$SHEATH_ROOT/build/logs/build-$preset.log" \
    cmake --build "$SHEATH_ROOT/build/$preset" ${1+--target "$@"}
}
