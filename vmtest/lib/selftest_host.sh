# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016 # shares variables with selftest; commands are the guest's
# Cases about runs that go wrong, and about what a run leaves on the machine.

host_cases() {
  case_is 'a complaint of the kernel fails a run whose command passed' test_splat
  case_is 'a kernel that warns of mitigations has not complained' test_no_splat
  case_is 'a guest that powers off before its verdict has failed' test_power_off
  case_is 'a kernel that panics has failed, and its last words are shown' test_panic
  case_is 'a guest that dies before its session is booted again, but not for ever' test_boots_again
  case_is 'a verdict with another token is none' test_forged_verdict
  case_is 'a verdict without the log of the kernel is none' test_no_log
  case_is 'a run that takes too long is killed and says so' test_timeout
  case_is 'two runs at once do not disturb each other' test_parallel
  case_is 'a killed run takes its qemu and virtiofsd along' test_killed
  case_is 'misuse is told apart from failure' test_misuse
  case_is '--native says what this kernel lacks, or runs' test_native
  case_is '--vng without vng says so' test_vng_missing
  case_is '--vng has vng run the session, and takes its verdict' test_vng
}

test_splat() {
  guest -- sh -c 'echo "WARNING: made by the selftest" >/dev/kmsg'
  expect 'exit code' "$code" "$exit_splat"
  expect_in "$dir/err" 'WARNING: made by the selftest'
}

test_no_splat() {
  guest -- sh -c 'echo "RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable" >/dev/kmsg'
  expect 'exit code' "$code" 0
}

test_power_off() {
  guest -- sh -c 'echo o >/proc/sysrq-trigger; sleep 1000'
  expect 'exit code' "$code" "$exit_no_verdict"
  expect_in "$dir/err" 'ended without a verdict'
}

test_panic() {
  guest --artefacts "$dir/kept" -- sh -c 'echo early >"$SHEATH_ARTEFACTS/file"; echo c >/proc/sysrq-trigger'
  expect 'exit code' "$code" "$exit_no_verdict"
  expect_in "$dir/err" 'Kernel panic'
  expect 'artefact of before' "$(<"$dir/kept/file")" early
}

# A stand-in for qemu that ends at once as long as its file has a line left.
make_dying_qemu() {
  mkdir -p "$dir/bin"
  cat >"$dir/bin/qemu-system-x86_64" <<EOF
#!/bin/bash
[[ ! -s $dir/deaths ]] || { sed -i 1d $dir/deaths && exit 1; }
exec $(type -P qemu-system-x86_64) "\$@"
EOF
  chmod +x "$dir/bin/qemu-system-x86_64"
}

test_boots_again() {
  make_dying_qemu
  printf '%s\n' one two >"$dir/deaths"
  PATH=$dir/bin:$PATH guest -- sh -c 'echo said; exit 9'
  expect 'exit code' "$code" 9
  expect stdout "$(<"$dir/out")" said
  expect_in "$dir/err" 'booting it again'
  printf '%s\n' one two three >"$dir/deaths"
  PATH=$dir/bin:$PATH guest -- true
  expect 'exit code' "$code" "$exit_no_verdict"
}

test_forged_verdict() {
  guest -- sh -c 'echo "0123456789abcdef exit 0" >/run/vmtest/share/verdict; sync; echo b >/proc/sysrq-trigger'
  expect 'exit code' "$code" "$exit_no_verdict"
}

# The guest's own verdict is fine here; what is missing is the log it has to come with.
test_no_log() {
  guest -- sh -c 'read -r token </run/vmtest/share/settings
    echo "${token#token=} exit 0" >/run/vmtest/share/verdict; sync; echo b >/proc/sysrq-trigger'
  expect 'exit code' "$code" "$exit_no_verdict"
}

test_timeout() {
  guest --timeout 6 -- sleep 1000
  expect 'exit code' "$code" "$exit_timeout"
  expect_in "$dir/err" 'timed out after 6 s'
}

test_parallel() {
  local one two codes=(0 0)
  "$vmtest/run" --kernel "$kernel" -- sh -c 'echo one; exit 11' >"$dir/one" 2>"$dir/err" &
  one=$!
  "$vmtest/run" --kernel "$kernel" -- sh -c 'echo two; exit 22' >"$dir/two" 2>>"$dir/err" &
  two=$!
  wait "$one" || codes[0]=$?
  wait "$two" || codes[1]=$?
  expect 'exit codes' "${codes[*]}" '11 22'
  expect 'outputs' "$(cat "$dir/one" "$dir/two")" $'one\ntwo'
}

# processes_in FOLDER: the processes that name something in FOLDER on their command line.
processes_in() { grep -lzsFf <(printf '%s/' "$1") /proc/[0-9]*/cmdline || true; }

# poll COMMAND…: until it succeeds, for 30 s.
poll() {
  local tries=300
  until "$@"; do
    ((tries-- > 0)) || { echo "# gave up waiting for: $*" && return 1; }
    sleep 0.1
  done
}

# shellcheck disable=SC2046,SC2317 # one file a word; called through poll
is_running() { grep -qzs "$1" $(processes_in "$dir/tmp") /dev/null; }

# shellcheck disable=SC2317 # called through poll
is_deserted() { [[ -z $(processes_in "$dir/tmp") ]]; }

test_killed() {
  local runner
  mkdir "$dir/tmp"
  TMPDIR=$dir/tmp "$vmtest/run" --kernel "$kernel" -- sleep 1000 >"$dir/out" 2>"$dir/err" &
  runner=$!
  poll is_running qemu-system
  poll is_running virtiofsd
  kill -KILL "$runner"
  wait "$runner" 2>/dev/null || true
  poll is_deserted
}

test_misuse() {
  local arguments
  for arguments in '--kernel 5.4 -- true' '--kernel 6.12' '--memory lots -- true' '--bogus 1 -- true' '--shell -- true' \
    '--native --icount -- true' '--kernel /no/such/image -- true' '--timeout'; do
    code=0
    # shellcheck disable=SC2086 # words
    "$vmtest/run" $arguments >"$dir/out" 2>"$dir/err" || code=$?
    expect "exit code of $arguments" "$code" 2
    expect_in "$dir/err" 'vmtest: '
  done
}

test_native() {
  code=0
  "$vmtest/run" --native -- sh -c 'exit 7' >"$dir/out" 2>"$dir/err" || code=$?
  if grep -q 'it lacks:' "$dir/err"; then
    expect 'exit code' "$code" 1
    expect_in "$dir/err" 'CONFIG_'
  else
    expect 'exit code' "$code" 7
  fi
}

test_vng_missing() {
  command -v vng >/dev/null && { echo 'vng is installed' && exit 4; }
  guest --vng -- true
  expect 'exit code' "$code" 1
  expect_in "$dir/err" 'vng is not installed'
}

# A stand-in for vng, which runs what it is to run in namespaces here: what is tried is our side of the bargain.
make_stand_in() {
  mkdir "$dir/bin"
  cat >"$dir/bin/vng" <<'EOF'
#!/bin/bash
[[ $1 == --run && $2 == */vmlinuz* ]] || exit 1
while [[ $1 != --exec ]]; do shift; done
exec unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc bash -c "$2"
EOF
  chmod +x "$dir/bin/vng"
}

test_vng() {
  make_stand_in
  PATH=$dir/bin:$PATH guest --vng --artefacts "$dir/kept" -- sh -c 'echo said; echo kept >"$SHEATH_ARTEFACTS/file"; exit 9'
  expect 'exit code' "$code" 9
  expect stdout "$(<"$dir/out")" said
  expect artefact "$(<"$dir/kept/file")" kept
}
