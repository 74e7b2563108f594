# SPDX-License-Identifier: Apache-2.0
"""What every benchmark writes: one JSON document of measurements.

A document says where it comes from (bench, command, commit, kernel, processor) and has `measurements`, each with
`name`, `unit`, `samples` and their `min`, `median` and `max`; lower is better unless `higher_is_better` is true.
"""
import json
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Misuse(Exception):
    """Wrong arguments or a file that is no document: exit 2."""


def git(*arguments):
    try:
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def commit():
    name = git("rev-parse", "--short", "HEAD") or "unknown"
    return name + "+" if git("status", "--porcelain", "--untracked-files=no") else name


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return os.uname().machine


def made(bench, command, body, kernel=None):
    head = {"bench": bench, "command": command, "commit": commit(), "kernel": kernel or os.uname().release,
            "processor": processor(), "processors": os.cpu_count()}
    return {**head, **body}


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError) as error:
        raise Misuse(f"{path}: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("measurements"), list) or "bench" not in document:
        raise Misuse(f"{path}: not a result of tools/bench")
    return document


def median(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def measurement(name, unit, samples, **more):
    return {"name": name, "unit": unit, "min": min(samples), "median": median(samples), "max": max(samples),
            "samples": samples, **more}


def number(value):
    """Three digits are what a noisy machine can say."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(rows, right=()):
    """Columns padded to their widest cell; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
