# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016 # shares variables with selftest; commands are the guest's
# Cases about what a command finds in the guest and what comes back from it.

guest_cases() {
  case_is 'success, output and artefacts come back' test_success
  case_is 'exit code 3 comes back, stdout and stderr apart' test_code_3
  case_is 'exit code 42 comes back, with words of any shape in the command' test_words
  case_is 'a command that does not exist gives 127' test_unknown_command
  case_is 'a process left behind does not hold the run, and long output is whole' test_leftovers
  case_is 'the guest cannot write to the machine' test_read_only
  case_is 'modules load when something asks for them' test_modules
  case_is 'a command with --tty has a terminal' test_tty
  case_is 'a terminal has the size of the caller'"'"'s' test_terminal_size
  case_is 'with --icount the guest has one processor and passes' test_icount
}

test_success() {
  guest --artefacts "$dir/kept" --env 'COLOUR=dark green' -- bash -c '
    echo "$PWD $COLOUR $(id -u)" && mkdir "$SHEATH_ARTEFACTS/sub" && echo kept >"$SHEATH_ARTEFACTS/sub/file"'
  expect 'exit code' "$code" 0
  expect stdout "$(<"$dir/out")" "$PWD dark green 0"
  expect artefact "$(<"$dir/kept/sub/file")" kept
  expect_in "$dir/kept/dmesg.log" 'Linux version'
}

test_code_3() {
  guest -- sh -c 'echo to stdout; echo to stderr >&2; exit 3'
  expect 'exit code' "$code" 3
  expect stdout "$(<"$dir/out")" 'to stdout'
  expect stderr "$(<"$dir/err")" 'to stderr'
}

test_words() {
  guest -- bash -c 'printf "[%s]" "$@"; exit 42' bash 'a b' "it's" '' $'two\nlines' '$HOME *' '"'
  expect 'exit code' "$code" 42
  expect stdout "$(<"$dir/out")" $'[a b][it\'s][][two\nlines][$HOME *]["]'
}

test_unknown_command() {
  guest -- no-such-command-anywhere
  expect 'exit code' "$code" 127
  expect_in "$dir/err" no-such-command-anywhere
}

test_leftovers() {
  guest -- bash -c 'sleep 100000 & seq 100000'
  expect 'exit code' "$code" 0
  expect 'check sum of stdout' "$(md5sum <"$dir/out")" "$(seq 100000 | md5sum)"
}

# Also not around the overlay, through the share the root comes from.
test_read_only() {
  guest -- bash -c '
    echo changed >"$1" && mkdir /share && mount -t virtiofs sheath /share && ! echo changed >"/share/root$1"
  ' bash "$dir/file"
  expect 'exit code' "$code" 0
  expect_in "$dir/err" 'Read-only file system'
  [[ ! -e $dir/file ]] || expect 'file on the machine' present absent
}

test_modules() {
  guest -- bash -ec '
    ip link add wg0 type wireguard
    ip link add xfrm0 type xfrm if_id 1
    ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 1 mode tunnel \
      aead "rfc4106(gcm(aes))" 0x000102030405060708090a0b0c0d0e0f10111213 128
    iptables -t nat -A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE
    ip netns add a && ip netns exec a ip link add veth0 type veth peer veth1'
  expect 'exit code' "$code" 0
}

test_tty() {
  guest --tty -- bash -c '[[ -t 0 && -t 1 && -t 2 ]] && tty && exit 5'
  expect 'exit code' "$code" 5
  expect_in "$dir/out" /dev/hvc0
}

test_terminal_size() {
  command -v script >/dev/null || { echo 'script(1) is not installed' && exit 4; }
  script -qec "stty rows 33 cols 101; $vmtest/run --kernel $kernel --tty -- stty size" /dev/null \
    </dev/null >"$dir/out" 2>"$dir/err"
  expect_in "$dir/out" '33 101'
}

test_icount() {
  guest --icount -- nproc
  expect 'exit code' "$code" 0
  expect stdout "$(<"$dir/out")" 1
}
