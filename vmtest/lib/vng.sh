# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# A run under virtme-ng, for those who have it: vng boots the kernel and brings the root, the session, the
# verdict and the streams are ours. It wants a terminal, which script(1) gives it.

start_vng() {
  local session words word line=''
  session="bash $(sh_quote "$vmtest/lib/native_session.sh") $(sh_quote "$run") $token"
  session+=" >$(sh_quote "$run/share/stdout") 2>$(sh_quote "$run/share/stderr") </dev/null"
  words=(vng --run "$vng_image" --user root --name vmtest --cpus "$smp" --memory "${memory}M"
    --rwdir "$run" --rwdir "$artefacts" --exec "$session")
  [[ $accel == kvm ]] || words+=(--disable-kvm)
  for word in "${words[@]}"; do line+=" $(sh_quote "$word")"; done
  bound script -qefc "exec$line" "$run/console" </dev/null >/dev/null 2>&1 &
  guest_pid=$!
}

run_under_vng() {
  need_root
  command -v vng >/dev/null ||
    die "$exit_failed" "vng is not installed" "Debian 12 has no package of virtme-ng; leave --vng out, plain qemu does the same"
  choose_kernel "$kernel" "$modules"
  # vng boots a bzImage; the decompressed kernel is for plain qemu.
  vng_image=${kernel_image%/vmlinux}
  [[ $vng_image == "$kernel_image" ]] || vng_image+=/vmlinuz
  prepare_streams
  write_command "$artefacts"
  build_initramfs "$run/initramfs.cpio" "${boot_modules[@]}"
  choose_accel
  start_vng
  start_streams
  wait_for_guest
  finish_streams
  keep_logs
  conclude
}
