# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# One guest: virtiofsd, qemu, and the end of both.

# The processor under TCG: what crypto and the random generator ask for, without the features
# (AVX, five-level page tables) that are dear to emulate. No cmpxchg16b, in the middle of the kernel's allocator: 6.12 once
# panicked right behind it under QEMU 7.2, with the bits of an address as its flags.
readonly tcg_cpu=qemu64,-cx16,+ssse3,+sse4.1,+sse4.2,+popcnt,+movbe,+aes,+pclmulqdq,+rdrand,+bmi1,+bmi2

start_virtiofsd() {
  bound unshare --mount --propagation private \
    "$vmtest/lib/export_root.sh" "$run" "$artefacts" "$kernel_modules" >"$run/virtiofsd.log" 2>&1 &
  virtiofsd_pid=$!
  local tries=500
  until [[ -S $run/virtiofs.sock ]]; do
    if ! kill -0 "$virtiofsd_pid" 2>/dev/null || ((tries-- == 0)); then
      cat "$run/virtiofsd.log" >&2
      die "$exit_no_verdict" "virtiofsd did not start"
    fi
    sleep 0.01
  done
}

# The kernel's command line. A guest on a busy emulator is slow, not stuck: its watchdogs get more patience, and the queues
# between its devices (veth, GRO cells, decrypted packets) hold what waits, where real processors would not be that far behind.
kernel_arguments() {
  local line="console=ttyS0 loglevel=5 panic=-1 reboot=t nokaslr mitigations=off log_buf_len=1M"
  line+=" lsm= audit=0 cryptomgr.notests random.trust_cpu=on"
  line+=" net.ifnames=0 systemd.unified_cgroup_hierarchy=1"
  if [[ $accel != kvm ]]; then
    line+=" no_timer_check rcupdate.rcu_cpu_stall_timeout=120 sysctl.kernel.watchdog_thresh=60"
    line+=" sysctl.net.core.netdev_max_backlog=100000"
  fi
  # With icount the guest's clock leaps while it waits for the host.
  [[ -z $icount ]] || line+=" nowatchdog rcupdate.rcu_cpu_stall_suppress=1 sysctl.kernel.hung_task_timeout_secs=0"
  printf '%s\n' "$line"
}

accel_arguments() {
  if [[ -n $icount ]]; then
    printf '%s\n' -accel tcg,thread=single -icount shift=1,sleep=off -smp 1 -cpu "$tcg_cpu"
  elif [[ $accel == kvm ]]; then
    printf '%s\n' -accel kvm -cpu host -smp "$smp"
  else
    printf '%s\n' -accel tcg,thread=multi -cpu "$tcg_cpu" -smp "$smp"
  fi
}

terminal_arguments() {
  [[ -n $tty ]] || return 0
  printf '%s\n' -device virtio-serial-pci -device virtconsole,chardev=terminal
  if [[ -t 0 ]]; then
    # Ctrl-C and the like go to the guest; Ctrl-] x ends a guest that hangs.
    printf '%s\n' -chardev stdio,id=terminal,signal=off,mux=on -echr 29
  else
    printf '%s\n' -chardev "file,id=terminal,path=$run/share/stdout"
  fi
}

qemu_arguments() {
  printf '%s\n' -nodefaults -no-user-config -display none -no-reboot \
    -machine pc,memory-backend=memory -m "$memory" \
    -object "memory-backend-memfd,id=memory,size=${memory}M,share=on" \
    -kernel "$kernel_image" -initrd "$run/initramfs.cpio" -append "$(kernel_arguments)" \
    -serial "file:$run/console" \
    -chardev "socket,id=root,path=$run/virtiofs.sock" \
    -device vhost-user-fs-pci,chardev=root,tag=sheath,queue-size=1024
  accel_arguments
  terminal_arguments
}

# Standard input is handed on only to a terminal session.
start_qemu() {
  local arguments
  mapfile -t arguments < <(qemu_arguments)
  exec 4<&0
  [[ -n $tty && -t 0 ]] || exec 4</dev/null
  bound qemu-system-x86_64 "${arguments[@]}" <&4 2>"$run/qemu.log" &
  guest_pid=$!
  exec 4<&-
}
