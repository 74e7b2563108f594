# SPDX-License-Identifier: Apache-2.0
"""The parts of tools/bench that work on documents: made, shown, compared, made a page of. tools/bench has the words for its users."""
import json
import sys

import compare
import document
import lines
import report
import show


def make(bench, command, kernel, path):
    """From the measurements on stdin to a document in the file."""
    try:
        match bench:
            case "wire":
                body = lines.wire(sys.stdin)
            case "control-plane":
                body = lines.control_plane(sys.stdin)
            case _:
                body = json.load(sys.stdin)
    except ValueError as error:
        raise document.Misuse(f"the benchmark's output: {error}") from error
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document.made(bench, command, body, kernel or None), file, indent=1)
        file.write("\n")


def main(arguments):
    try:
        match arguments:
            case ["make", bench, command, kernel, path]:
                make(bench, command, kernel, path)
            case ["show", path]:
                show.show(document.read(path))
            case ["compare", old, new]:
                compare.compare(old, new)
            case ["report", folder, page, *paths]:
                report.write(folder, page, [document.read(path) for path in paths])
            case _:
                raise document.Misuse("unknown arguments")
    except document.Misuse as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
