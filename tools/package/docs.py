#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Man pages and bash completion, made from what the binary says of itself: nothing is written twice.

usage: docs.py SHEATH VERSION FOLDER    writes sheath.8, sheath.yaml.5 and sheath.bash there
"""
import json
import subprocess
import sys
from pathlib import Path

INTRODUCTION = r"""Sheath encrypts the traffic between the pods of a cluster, and on demand that of its nodes: eBPF programs
on tc pick the packets, the kernel's WireGuard or IPsec encrypts them, and what cannot be encrypted is dropped, counted
and explained. This command brings a node to what its configuration and the cluster's node objects ask for, keeps it
there, and says how it is."""

EXIT_CODES = [
    ("0", "done"),
    ("1", "failed; what stood before still stands"),
    ("2", "misuse: an option, the configuration, a node object or a key file is wrong; nothing was changed"),
    ("3", "degraded: something is not encrypted, or not reachable, that should be"),
]

FILES = [
    ("/etc/sheath/config.yaml", "the configuration: sheath.yaml(5)"),
    ("/etc/sheath/nodes", "the cluster's node objects; each node adds its own"),
    ("/etc/ipsec/keys", "the pre-shared key of IPsec"),
    ("/var/lib/sheath", "the WireGuard private key"),
    ("/run/sheath", "IPsec session keys, locks, the agent's socket"),
    ("/sys/fs/bpf/sheath", "pinned maps, programs and links"),
]

SIGNALS = [
    ("SIGHUP", "the agent reads its configuration again"),
    ("SIGTERM, SIGINT", "the agent ends, and leaves encryption as it is"),
]

CONFIGURATION = r"""The configuration of \fBsheath\fR(8) is one YAML map. Each key is also an option of every command, which
wins over the file. A key that is unknown, of the wrong type or out of range is refused with its line, and nothing is
changed. \fBsheath config check\fR judges a file and the node objects, \fBsheath config view\fR shows each value and where
it came from."""

EXAMPLE = """encryption: wireguard
mode: strict
clusterPodCIDRs: [10.244.0.0/16, "fd00:10:244::/48"]
nodes: {source: file, path: /etc/sheath/nodes}"""


def ask(sheath, *words):
    return json.loads(subprocess.run([sheath, *words, "-o", "json"], check=True, capture_output=True, text=True).stdout)


def roff(text):
    """Text as man pages want it: no line begins with a control character, hyphens that are typed stay hyphens."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n"))


def head(name, section, version, what):
    return (f'.\\" SPDX-License-Identifier: Apache-2.0\n.TH {name.upper()} {section} "" "Sheath {version}" "Sheath"\n'
            f".SH NAME\n{roff(name)} \\- {what}\n")


def entries(pairs):
    return "".join(f".TP\n.B {roff(term)}\n{roff(text)}\n" for term, text in pairs)


def option(entry):
    term = "--" + entry["name"] + (" " + entry["value"] if entry["value"] else "")
    return term, entry["help"]


def command_section(command):
    out = f".SS {roff(command['usage'])}\n{roff(command['details'])}\n"
    out += entries(option(entry) for entry in command["options"])
    examples = [example for example in command["examples"]]
    if examples:
        out += ".PP\n.nf\n"
        for example in examples:
            out += ".RS\n" + roff(example["command"]) + (f"    # {roff(example['what'])}" if example["what"] else "")
            out += "\n.RE\n"
        out += ".fi\n"
    return out


def manual(commands, options, version):
    out = head("sheath", 8, version, "transparent encryption of pod and node traffic")
    out += ".SH SYNOPSIS\n.B sheath\n.I COMMAND\n.RI [ OPTION... ]\n.SH DESCRIPTION\n" + INTRODUCTION + "\n.SH COMMANDS\n"
    out += "".join(command_section(command) for command in commands)
    out += ".SH OPTIONS\nOf every command; so is each key of \\fBsheath.yaml\\fR(5), under the name that stands there.\n"
    out += entries(option(entry) for entry in options)
    out += ".SH EXIT STATUS\n" + entries(EXIT_CODES)
    out += ".SH SIGNALS\n" + entries(SIGNALS)
    out += ".SH FILES\n" + entries(FILES)
    return out + ".SH SEE ALSO\n.BR sheath.yaml (5),\n.BR bpftool (8),\n.BR tc (8)\n"


def configuration_manual(keys, version):
    out = head("sheath.yaml", 5, version, "configuration of sheath")
    out += ".SH SYNOPSIS\n.I /etc/sheath/config.yaml\n.SH DESCRIPTION\n" + CONFIGURATION + "\n.SH KEYS\n"
    for key in keys:
        default = key["default"] if key["default"] else "none"
        out += f".TP\n.BR {roff(key['key'])} ,\\  --{roff(key['flag'])}\\  \\fI{roff(key['value'])}\\fR\n"
        out += f"{roff(key['help'])}. Default: {roff(default)}.\n"
    out += ".SH EXAMPLE\n.nf\n" + roff(EXAMPLE) + "\n.fi\n"
    return out + ".SH SEE ALSO\n.BR sheath (8)\n"


def completion(commands, options, keys):
    """Words by the command that stands on the line so far."""
    common = [f"--{entry['name']}" for entry in options] + [f"--{key['flag']}" for key in keys]
    groups, cases = {}, ""
    for command in commands:
        words = command["name"].split()
        groups.setdefault("", set()).add(words[0])
        if len(words) > 1:
            groups.setdefault(words[0], set()).add(words[1])
        own = " ".join(f"--{entry['name']}" for entry in command["options"])
        cases += f'    "{command["name"]}") own="{own}" ;;\n'
    seconds = "".join(f'    {group}) echo "{" ".join(sorted(words))}" ;;\n' for group, words in sorted(groups.items()) if group)
    return f"""# bash completion for sheath                               -*- shell-script -*-
# SPDX-License-Identifier: Apache-2.0

_sheath_members() {{
  case $1 in
{seconds}    *) return 1 ;;
  esac
}}

_sheath() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} word words=() own="" members
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do [[ $word == -* ]] || words+=("$word"); done
  case "${{words[*]:0:2}}" in
{cases}  esac
  case ${{words[0]-}} in
{"".join(chr(32) * 4 + line.strip() + chr(10) for line in cases.splitlines() if " " not in line.split(chr(34))[1])}  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$own {' '.join(common)}" -- "$current")
  elif [[ ${{#words[@]}} -eq 0 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "{' '.join(sorted(groups['']))}" -- "$current")
  elif [[ ${{#words[@]}} -eq 1 ]] && members=$(_sheath_members "${{words[0]}}"); then
    mapfile -t COMPREPLY < <(compgen -W "$members" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _sheath sheath
"""


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sheath, version, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    commands = ask(sheath, "help")
    reference = ask(sheath, "help", "configuration")
    options, keys = reference["options"], reference["keys"]
    (folder / "sheath.8").write_text(manual(commands, options, version))
    (folder / "sheath.yaml.5").write_text(configuration_manual(keys, version))
    (folder / "sheath.bash").write_text(completion(commands, options, keys))


main()
