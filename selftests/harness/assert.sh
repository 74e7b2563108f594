# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Named assertions, printed as TAP: `ok - sentence` or `not ok - sentence`, with what was seen as `# …` lines below.

CHECKS_PASSED=0
CHECKS_FAILED=0
CHECKS_SKIPPED=0

# note TEXT...: lines for the reader of a log.
note() { printf '%s\n' "$@" | sed 's/^/# /'; }

pass() {
  CHECKS_PASSED=$((CHECKS_PASSED + 1))
  printf 'ok - %s\n' "$1"
}

# flunk SENTENCE [WHAT WAS SEEN]
flunk() {
  CHECKS_FAILED=$((CHECKS_FAILED + 1))
  printf 'not ok - %s\n' "$1"
  [[ -z ${2-} ]] || note "$2"
}

# skip SENTENCE REASON: counted, and compared with the list of expected skips by tools/test.
skip() {
  CHECKS_SKIPPED=$((CHECKS_SKIPPED + 1))
  printf 'ok - %s # SKIP %s\n' "$1" "$2"
}

# check SENTENCE COMMAND...: the command must succeed. Its output is shown only when it did not.
check() {
  local sentence=$1 output
  shift
  if output=$("$@" 2>&1); then pass "$sentence"; else flunk "$sentence" "$* (exit $?): $output"; fi
}

# check_fails SENTENCE COMMAND...: the command must fail.
check_fails() {
  local sentence=$1 output
  shift
  if output=$("$@" 2>&1); then flunk "$sentence" "succeeded: $*: $output"; else pass "$sentence"; fi
}

# check_exit SENTENCE CODE COMMAND...: the command must end with exactly this code.
check_exit() {
  local sentence=$1 wanted=$2 output code=0
  shift 2
  output=$("$@" 2>&1) || code=$?
  if ((code == wanted)); then pass "$sentence"; else flunk "$sentence" "exit $code, not $wanted: $*: $output"; fi
}

# check_equal SENTENCE WANTED SEEN
check_equal() {
  if [[ $2 == "$3" ]]; then pass "$1"; else flunk "$1" "wanted: $2"$'\n'"seen:   $3"; fi
}

# check_above SENTENCE LIMIT NUMBER: a count that must be larger than the limit.
check_above() {
  if (($3 > $2)); then pass "$1"; else flunk "$1" "wanted more than $2, seen $3"; fi
}

# check_below WHAT LIMIT ACTUAL
check_below() { if [[ $3 -lt $2 ]]; then pass "$1"; else flunk "$1" "$3 is not below $2"; fi; }

# line_matches REGEX TEXT: some line of the text matches the extended regular expression.
line_matches() {
  local line
  while IFS= read -r line; do [[ ! $line =~ $1 ]] || return 0; done <<<"$2"
  return 1
}

# check_match SENTENCE REGEX TEXT: some line matches.
check_match() {
  if line_matches "$2" "$3"; then pass "$1"; else flunk "$1" "no line matches /$2/ in:"$'\n'"$3"; fi
}

# check_no_match SENTENCE REGEX TEXT
check_no_match() {
  if line_matches "$2" "$3"; then flunk "$1" "a line matches /$2/ in:"$'\n'"$3"; else pass "$1"; fi
}

# eventually SECONDS COMMAND...: polls until the command succeeds; fails when the time is over.
eventually() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    read -rt 0.05 <> <(:) || true
  done
}

# finish: prints the counts and returns non-zero when anything failed, or when nothing was checked at all.
finish() {
  local total=$((CHECKS_PASSED + CHECKS_FAILED + CHECKS_SKIPPED))
  printf '1..%d\n' "$total"
  note "$CHECKS_PASSED passed, $CHECKS_FAILED failed, $CHECKS_SKIPPED skipped"
  ((CHECKS_FAILED == 0 && CHECKS_PASSED > 0))
}
