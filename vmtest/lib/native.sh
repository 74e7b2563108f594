# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# A run without a guest, on this machine's own kernel: for machines whose kernel has what the tests need.
# The command gets a network, mount and PID namespace of its own; files outside /run are the machine's.

# try_in_scratch COMMAND…: whether the command works in a network namespace that ends with it.
try_in_scratch() { unshare --net "$@" >/dev/null 2>&1; }

# native_missing: what this kernel lacks, one thing a line.
native_missing() {
  if ! try_in_scratch true; then
    echo "network namespaces (or the right to make them)"
    return
  fi
  try_in_scratch ip link add vmtest0 type wireguard || echo "WireGuard (CONFIG_WIREGUARD)"
  try_in_scratch ip link add vmtest0 type xfrm if_id 1 || echo "xfrm interfaces (CONFIG_XFRM_INTERFACE)"
  # A key of zeros: the state is only asked for, and gone with its namespace.
  try_in_scratch ip xfrm state add src 127.0.0.1 dst 127.0.0.2 proto esp spi 1 mode tunnel \
    aead 'rfc4106(gcm(aes))' 0x0000000000000000000000000000000000000000 128 ||
    echo "ESP with AES-GCM (CONFIG_INET_ESP, CONFIG_CRYPTO_GCM)"
}

need_native_kernel() {
  local missing
  need ip iproute2
  mapfile -t missing < <(native_missing)
  ((${#missing[@]} == 0)) && return
  say "this machine's kernel ($(uname -r)) cannot run the tests; it lacks:"
  printf '  %s\n' "${missing[@]}" >&2
  die "$exit_failed" "--native is not possible here" "use --kernel 6.1 or --kernel 6.12"
}

# new_kernel_lines BEFORE: what the kernel has said since BEFORE was taken.
new_kernel_lines() {
  dmesg | awk -v last="$(tail -n 1 "$1")" '
    { line[NR] = $0 }
    $0 == last { from = NR }
    END { for (i = from + 1; i <= NR; i++) print line[i] }'
}

start_native() {
  exec 4<&0
  [[ -n $tty && -t 0 ]] || exec 4</dev/null
  bound unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc \
    "$vmtest/lib/native_session.sh" "$run" "$token" <&4 &
  guest_pid=$!
  exec 4<&-
}

run_natively() {
  need_root
  need_native_kernel
  mkdir -p "$run/share"
  write_command "$artefacts"
  dmesg >"$run/before"
  start_native
  wait_for_guest
  new_kernel_lines "$run/before" >"$run/share/dmesg"
  keep_logs
  conclude
}
