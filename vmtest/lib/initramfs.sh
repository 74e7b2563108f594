# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# The initramfs of a run: busybox, guest/init, guest/session, the modules it takes to reach the host's root, and
# copies of programs that are started often. All other modules load by themselves once /lib/modules is there.

readonly boot_modules=(virtio_pci virtiofs overlay)

# Each start of a program costs a dozen requests to the host for its libraries, unless it is in the guest already.
# Any of these may be missing here; what is not listed comes from the host, only slower.
readonly hot_programs=(bash sh env ip tc ping modprobe kmod wg cat sleep grep timeout)

# boot_module_files WANTED…: the files of these modules and of what they need, in loading order.
# A module that the kernel has built in gives nothing; one that it has not at all is an error.
boot_module_files() {
  local base=$run/modules_base name
  mkdir -p "$base/lib/modules"
  ln -sfn "$kernel_modules" "$base/lib/modules/$kernel_release"
  for name in "$@"; do
    modprobe -d "$base" -S "$kernel_release" --show-depends "$name" ||
      die "$exit_failed" "kernel $kernel_release has no module $name, which the guest needs to reach its root"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

# add_module FILE FOLDER: unpacked, since busybox loads plain modules only.
add_module() {
  local name=${1##*/}
  case $name in
  *.xz) xz -dc "$1" >"$2/${name%.xz}" ;;
  *.zst) zstd -dcq "$1" >"$2/${name%.zst}" ;;
  *) cp "$1" "$2/" ;;
  esac
  name=${name%.xz}
  echo "${name%.zst}" >>"$2/order"
}

# hot_files: the paths of these programs and their libraries, with the links on the way. A path's folder is
# given without links (/usr/lib for /lib), its last part as it is.
hot_files() {
  local programs=() files=() name file folder
  local -A real_folders=()
  for name in "${hot_programs[@]}"; do
    file=$(type -P "$name") && programs+=("$file")
  done
  mapfile -t files < <(ldd "${programs[@]}" 2>/dev/null | grep -Eo '(^|[[:space:]])/[^ :]+' | tr -d '\t ' | sort -u)
  files+=("${programs[@]}")
  for file in "${files[@]}"; do
    folder=${file%/*}
    [[ -n ${real_folders[$folder]:-} ]] || real_folders[$folder]=$(realpath "$folder")
    printf '%s\n' "${real_folders[$folder]}/${file##*/}"
  done
  realpath "${files[@]}"
}

# copy_hot_files TREE: the lowest layer of what the guest may change, so a program finds them where they are here.
# Nearly every path goes through /bin, /lib and the like, which are links as well.
copy_hot_files() {
  local files link
  mapfile -t files < <(hot_files | sort -u)
  [[ ! -f /etc/ld.so.cache ]] || files+=(/etc/ld.so.cache)
  for link in /*; do [[ ! -L $link ]] || files+=("$link"); done
  cp -d --parents -t "$1" "${files[@]}"
}

# build_initramfs OUT MODULE…
build_initramfs() {
  local out=$1 tree=$run/initramfs file
  shift
  mkdir -p "$tree"/{bin,proc,sys,dev,modules,upper}
  chmod 755 "$tree/upper" # becomes the guest's /
  : >"$tree/modules/order"
  if [[ -n $kernel_modules ]]; then
    while IFS= read -r file; do
      add_module "$file" "$tree/modules"
    done < <(boot_module_files "$@")
  fi
  cp "$(command -v busybox)" "$tree/bin/busybox"
  copy_hot_files "$tree/upper"
  cp "$vmtest/guest/init" "$vmtest/guest/session" "$tree/"
  (cd "$tree" && find . | cpio -o -H newc --quiet) >"$out"
}
