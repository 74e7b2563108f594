# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# The cache of Debian kernels. Each lies in a folder of its own, named by its release:
#
#   kernels/6.1 -> 6.1.0-56-cloud-amd64        the name people use
#   kernels/<release>/vmlinuz                  as packaged
#   kernels/<release>/vmlinux                  decompressed: boots without a decompressor in the guest
#   kernels/<release>/lib/modules/<release>/   uncompressed, with the indexes of depmod
#
# A folder appears by one rename when it is complete, so a reader needs no lock.

readonly known_kernels=(6.1 6.12)

kernels_dir() { printf '%s/kernels\n' "$(cache_dir)"; }

# The meta package that depends on the newest kernel of a series.
kernel_meta_package() {
  case $1 in
  6.1) echo linux-image-cloud-amd64 ;;
  6.12) echo linux-image-6.12-cloud-amd64 ;;
  *) die "$exit_misuse" "unknown kernel '$1'" "known kernels: ${known_kernels[*]}, or the path of a kernel image" ;;
  esac
}

# kernel_package SERIES: the package that holds the newest kernel; nothing when apt does not know it.
kernel_package() {
  apt-cache depends "$(kernel_meta_package "$1")" 2>/dev/null |
    awk '/Depends: linux-image-[0-9]/ { print $2; exit }'
}

# kernel_path SERIES: the folder in the cache; fails when it is not there.
kernel_path() {
  local link
  link=$(kernels_dir)/$1
  [[ -d $link/lib/modules ]] || return 1
  realpath "$link"
}

# kernel_fetch SERIES [update]: after it the kernel is in the cache. Runs side by side wait for each other.
kernel_fetch() {
  local series=$1 update=${2:-} dir
  kernel_meta_package "$series" >/dev/null
  dir=$(kernels_dir)
  mkdir -p "$dir"
  (
    flock 9
    [[ -z $update ]] && kernel_path "$series" >/dev/null && exit 0
    kernel_fetch_locked "$series" "$dir"
  ) 9>"$dir/.lock"
}

kernel_fetch_locked() {
  local series=$1 dir=$2 package release tmp
  need dpkg-deb dpkg
  need depmod kmod
  package=$(kernel_package "$series")
  [[ -n $package ]] || { apt-get update -qq && package=$(kernel_package "$series"); }
  [[ -n $package ]] ||
    die "$exit_failed" "apt knows no package $(kernel_meta_package "$series")" \
      "is Debian 12 with bookworm-security in its sources?"
  release=${package#linux-image-}
  if [[ ! -d $dir/$release ]]; then
    tmp=$(mktemp -d "$dir/.new.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf -- $(sh_quote "$tmp")" EXIT
    say "fetching $package"
    kernel_download "$package" "$tmp"
    kernel_unpack "$tmp" "$release"
    mv -T "$tmp/$release" "$dir/$release"
  fi
  ln -sfn "$release" "$dir/.$series.new"
  mv -T "$dir/.$series.new" "$dir/$series"
}

# The package lists may be older than the archive: refresh them once before giving up.
kernel_download() {
  local package=$1 dir=$2 attempt
  for attempt in first second; do
    (cd "$dir" && apt-get -qq -o APT::Sandbox::User=root download "$package") && return 0
    [[ $attempt == second ]] || apt-get update -qq || break
  done
  die "$exit_failed" "cannot download $package" "needs the network once; see apt's words above"
}

# kernel_unpack DIR RELEASE: DIR/*.deb becomes DIR/RELEASE in the layout drawn above.
kernel_unpack() {
  local tmp=$1 release=$2 out=$1/$2 modules
  dpkg-deb -x "$tmp"/*.deb "$tmp/package"
  modules=$tmp/package/lib/modules
  [[ -d $modules ]] || modules=$tmp/package/usr/lib/modules
  mkdir -p "$out/lib"
  mv "$modules" "$out/lib/modules"
  mv "$tmp/package/boot/vmlinuz-$release" "$out/vmlinuz"
  find "$out/lib/modules" -name '*.ko.xz' -exec xz -d {} +
  depmod -b "$out" "$release"
  extract_vmlinux "$out/vmlinuz" "$out/vmlinux"
}

# little_endian FILE OFFSET BYTES: the number that stands there.
little_endian() { od -An -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '; }

# byte_range FILE OFFSET LENGTH
byte_range() { dd if="$1" iflag=skip_bytes,count_bytes skip="$2" count="$3" bs=1M status=none; }

# extract_vmlinux BZIMAGE OUT: the ELF image inside. Offsets are those of the x86 boot protocol:
# setup_sects 0x1f1, payload_offset 0x248, payload_length 0x24c (its last four bytes hold the inflated size).
extract_vmlinux() {
  local image=$1 out=$2 sectors offset length
  sectors=$(little_endian "$image" 497 1)
  offset=$(little_endian "$image" 584 4)
  length=$(little_endian "$image" 588 4)
  byte_range "$image" "$(((sectors + 1) * 512 + offset))" "$((length - 4))" >"$out.packed"
  case $(od -An -t x4 -N 4 "$out.packed" | tr -d ' ') in
  184c2102) lz4 -dcq "$out.packed" >"$out" ;;
  fd2fb528) zstd -dcq <"$out.packed" >"$out" ;;
  *) cp "$image" "$out" ;; # another packing: let the kernel unpack itself
  esac
  rm -f "$out.packed"
}

# image_release BZIMAGE: the release the image names itself (boot protocol: kernel_version at 0x20e).
image_release() {
  local offset
  offset=$(little_endian "$1" 526 2)
  byte_range "$1" "$((offset + 512))" 200 | tr '\0' '\n' | sed -n '1s/ .*//p'
}

# choose_kernel NAME MODULES: sets kernel_image, kernel_release, kernel_modules (may be empty: all built in).
choose_kernel() {
  local name=$1 modules=$2 dir
  if [[ $name == */* ]]; then
    [[ -r $name ]] || die "$exit_misuse" "no kernel image $name"
    kernel_image=$(realpath "$name")
    kernel_release=$(image_release "$kernel_image")
    kernel_modules=${modules:-/lib/modules/$kernel_release}
    [[ -n $modules || -d $kernel_modules ]] || kernel_modules=
    [[ -z $kernel_modules || -d $kernel_modules ]] || die "$exit_misuse" "no modules folder $kernel_modules"
    return
  fi
  [[ -z $modules ]] || die "$exit_misuse" "--modules goes with the path of a kernel image"
  kernel_path "$name" >/dev/null || kernel_fetch "$name"
  dir=$(kernel_path "$name")
  kernel_image=$dir/vmlinux
  kernel_release=${dir##*/}
  kernel_modules=$dir/lib/modules/$kernel_release
}
