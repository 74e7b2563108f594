# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with the files that source it
# The command line of vmtest/run.

usage() {
  cat <<'EOF'
usage: vmtest/run --kernel 6.1|6.12|IMAGE [OPTION…] -- COMMAND…
       vmtest/run --kernel 6.1|6.12|IMAGE [OPTION…] --shell
       vmtest/run --native [OPTION…] -- COMMAND…

Boots a kernel with this machine's own root in it and runs COMMAND there as root, in the same working
directory. What the guest writes is gone afterwards, except what goes to $SHEATH_ARTEFACTS.

  --kernel WHICH     6.1 or 6.12 (Debian's, fetched into a cache) or a bzImage or vmlinux   [6.12]
  --modules DIR      the modules of IMAGE, …/lib/modules/RELEASE              [the machine's, if any]
  --shell            an interactive shell in the guest, left by `exit`; Ctrl-] x kills the guest
  --tty              run COMMAND on a terminal: colours, line editing, Ctrl-C
  --artefacts DIR    where $SHEATH_ARTEFACTS of the guest, its kernel log and its console end up
  --env NAME=VALUE   set NAME in the command's environment; NAME alone takes the caller's value
  --memory MIB       the guest's memory                                                     [1024]
  --smp N            the guest's processors                                                    [2]
  --timeout SECONDS  kill the guest after that time, 0 for never            [600; with --shell 0]
  --icount           guest time counts instructions: measurements repeat; one processor
  --native           no guest: this machine's own kernel, in namespaces made for the run
  --vng              boot with virtme-ng's vng instead of plain qemu

Exit code: the command's own; 123 the kernel complained (its lines are shown); 124 timed out;
125 the guest ended without a verdict; 2 misuse.
EOF
}

misuse() { die "$exit_misuse" "$1" "vmtest/run --help"; }

# need_value OPTION COUNT: COUNT arguments are left, the option among them.
need_value() { (($2 > 1)) || misuse "$1 needs a value"; }

need_number() { [[ $2 =~ ^[0-9]+$ ]] || misuse "$1 needs a number, not '$2'"; }

default_options() {
  kernel=6.12 modules='' shell='' tty='' icount='' native='' vng=''
  artefacts='' memory=1024 smp=2 timeout='' environment=() command=()
}

parse_option() {
  case $1 in
  --kernel) kernel=$2 ;;
  --modules) modules=$2 ;;
  --artefacts) artefacts=$2 ;;
  --memory) need_number "$1" "$2" && memory=$2 ;;
  --smp) need_number "$1" "$2" && smp=$2 ;;
  --timeout) need_number "$1" "$2" && timeout=$2 ;;
  --env) add_environment "$2" ;;
  *) misuse "unknown option '$1'" ;;
  esac
}

add_environment() {
  local name=${1%%=*}
  [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || misuse "--env: '$name' is no name of a variable"
  if [[ $1 == *=* ]]; then environment+=("$1"); else environment+=("$name=${!name-}"); fi
}

parse_options() {
  default_options
  while (($# > 0)); do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --shell) shell=yes tty=yes ;;
    --tty) tty=yes ;;
    --icount) icount=yes ;;
    --native) native=yes ;;
    --vng) vng=yes ;;
    --) shift && command=("$@") && break ;;
    -*=*) parse_option "${1%%=*}" "${1#*=}" ;;
    --*) need_value "$1" $# && parse_option "$1" "$2" && shift ;;
    *) misuse "unexpected '$1'; the command comes after --" ;;
    esac
    shift
  done
  check_options
}

check_options() {
  if [[ -n $shell ]]; then
    ((${#command[@]} == 0)) || misuse "--shell takes no command; use --tty -- COMMAND"
    command=(bash -i)
  fi
  ((${#command[@]} > 0)) || misuse "no command"
  [[ ${command[0]} != *=* ]] || misuse "a command's name cannot contain '='"
  [[ -z $native || -z $vng$icount ]] || misuse "--native goes with neither --vng nor --icount"
  [[ -z $vng || -z $icount$tty ]] || misuse "--vng goes with neither --icount nor --tty"
  : "${timeout:=${shell:+0}}"
  : "${timeout:=600}"
}
