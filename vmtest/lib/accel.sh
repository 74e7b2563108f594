# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# KVM or TCG. There are machines with a /dev/kvm that runs a guest's firmware and then fails on an instruction
# of the kernel, so neither the device nor the firmware says anything: KVM counts when a kernel reaches user
# space under it. Asked once per boot of this machine.

# True when this run's kernel and initramfs say "alive" under KVM within a few seconds.
kvm_boots_kernel() {
  local words=$run/kvm.console pid tries=100
  bound qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -machine pc -accel kvm -cpu host \
    -m 256 -kernel "$kernel_image" -initrd "$run/initramfs.cpio" -serial "file:$words" \
    -append "console=ttyS0 quiet panic=-1 reboot=t vmtest.alive" >/dev/null 2>&1 &
  pid=$!
  until grep -qs 'vmtest: alive' "$words"; do
    kill -0 "$pid" 2>/dev/null || break
    ((tries-- > 0)) || break
    sleep 0.05
  done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  grep -qs 'vmtest: alive' "$words"
}

# probe_kvm: prints yes or no.
probe_kvm() {
  if [[ -w /dev/kvm ]] && kvm_boots_kernel; then echo yes; else echo no; fi
}

# choose_accel: sets accel to kvm or tcg. Wants kernel and initramfs ready, since they are what it tries.
choose_accel() {
  local answers boot answer
  answers=$(cache_dir)/kvm
  boot=$(</proc/sys/kernel/random/boot_id)
  if [[ $(cat "$answers" 2>/dev/null) =~ ^"$boot "(yes|no)$ ]]; then
    answer=${BASH_REMATCH[1]}
  else
    answer=$(probe_kvm)
    mkdir -p "${answers%/*}"
    printf '%s %s\n' "$boot" "$answer" >"$run/kvm.answer"
    mv -f "$run/kvm.answer" "$answers"
  fi
  if [[ $answer == yes ]]; then accel=kvm; else accel=tcg; fi
}
