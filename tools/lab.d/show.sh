# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How the lab talks: numbered steps, the command as one would type it, what came back, a tick or a cross. Sourced.

if [[ -t 1 && -z ${NO_COLOR-} ]]; then
  B=$'\e[1m' D=$'\e[2m' R=$'\e[31m' G=$'\e[32m' C=$'\e[36m' P=$'\e[0m'
else
  B='' D='' R='' G='' C='' P=''
fi

STEP=0
CROSSES=0

step() {
  STEP=$((STEP + 1))
  printf '\n%s%d. %s%s\n' "$B" "$STEP" "$1" "$P"
}

say() { printf '%s\n' "$@"; }

# typed WHERE COMMAND-LINE: as it stands at that prompt.
typed() { printf '%s%s#%s %s%s%s\n' "$D" "$1" "$P" "$C" "$2" "$P"; }

# came_back: standard input, set in; long output is cut in the middle.
came_back() {
  awk -v max="${1-24}" '{ line[NR] = $0 }
    END { for (i = 1; i <= NR; i++) {
            if (NR > max && i == max) { printf "    … %d more lines\n", NR - max + 1; break }
            print "    " line[i] } }'
}

tick() { printf '  %s✓%s %s\n' "$G" "$P" "$1"; }
cross() {
  CROSSES=$((CROSSES + 1))
  printf '  %s✗ %s%s\n' "$R" "$1" "$P"
}

# verify SENTENCE COMMAND…: a tick when the command succeeds.
verify() {
  local sentence=$1
  shift
  if "$@" >/dev/null 2>&1; then tick "$sentence"; else cross "$sentence"; fi
}

# at NODE COMMAND-LINE [LINES]: shows and runs it on the node, or beside all nodes on `server`; the output stays in OUTPUT.
at() {
  local code=0 where=(on "$1")
  [[ $1 != server ]] || where=()
  typed "$1" "$2"
  OUTPUT=$("${where[@]}" bash -c "$2" 2>&1) || code=$?
  [[ -z $OUTPUT ]] || came_back "${3-24}" <<<"$OUTPUT"
  return "$code"
}
