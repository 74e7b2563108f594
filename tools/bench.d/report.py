# SPDX-License-Identifier: Apache-2.0
"""A page of results with plots. The plots are drawn by gnuplot."""
import os
import subprocess

import targets
from document import number

PAGE = """<!-- SPDX-License-Identifier: Apache-2.0 -->
# Results

Written by `tools/bench report`, from the results beside it (`results/*.json`), which `tools/bench show` prints in full. What the
columns mean, and what makes such figures comparable, is in `README.md`.

"""


def origin(document):
    return (f"`{document['command']}` at {document['commit']}, Linux {document['kernel']}, {document['processors']} × "
            f"{document['processor']}\n\n")


def markdown(rows, right=()):
    lines = ["| " + " | ".join(rows[0]) + " |",
             "|" + "|".join("---:" if i in right else "---" for i in range(len(rows[0]))) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows[1:]]
    return "\n".join(lines) + "\n\n"


def draw(path, title, categories, series, axis):
    """Bars: `series` is a list of (name, values in the order of the categories)."""
    data = "$data << END\n" + "\t".join([""] + [f'"{name}"' for name, _ in series]) + "\n"
    for i, category in enumerate(categories):
        data += "\t".join([f'"{category}"'] + [f"{values[i]:g}" if values[i] is not None else "?" for _, values in series]) + "\n"
    script = data + f"""END
set terminal svg size 900,480 dynamic noenhanced font 'sans-serif,12' background '#ffffff'
set output '{path}'
set title '{title}'
set datafile separator tab
set style data histogram
set style histogram cluster gap 1
set style fill solid 0.8 noborder
set grid ytics
set yrange [0:*]
set ylabel '{axis}'
set xtics rotate by -25 scale 0
set key outside top center horizontal
plot for [i=2:{len(series) + 1}] $data using i:xtic(1) title columnheader(i)
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
    with open(path, encoding="utf-8") as file:
        drawn = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(drawn.replace("?>", "?>\n<!-- SPDX-License-Identifier: Apache-2.0 -->", 1))


def datapath(document, folder):
    warm = [each for each in document["measurements"] if not each["cold"]]
    sizes = sorted({each["prefixes"] for each in warm})
    text = "## Programs, by packet\n\n" + origin(document)
    text += ("Nanoseconds, medians, without what the empty program takes; *one*: all packets to one peer, *all*: spread over all of "
             "them. In brackets, times the floor in the same round.\n\n")
    rows = [["path", "peers"] + [f"{size:,}" for size in sizes]]
    groups = {}
    for each in warm:
        if each["family"] == "ipv4":
            groups.setdefault((each["path"], "all" if each["spread"] else "one"), {})[each["prefixes"]] = each
    for (path, kind), by_size in groups.items():
        rows.append([path, kind] + [f"{number(by_size[size]['median'])} ({by_size[size]['to_floor']['median']:.2f})"
                                    for size in sizes])
    text += "IPv4 (IPv6 is in the result):\n\n" + markdown(rows, right=range(2, len(rows[0])))
    one = [each for each in warm if each["family"] == "ipv4" and not each["spread"]]
    paths = list(dict.fromkeys(each["path"] for each in one))
    series = [(f"{size:,} prefixes", [next(e["median"] for e in one if e["path"] == path and e["prefixes"] == size)
                                      for path in paths]) for size in sizes]
    draw(os.path.join(folder, "datapath.svg"), "Programs: ns for one packet, IPv4, one peer", paths, series, "ns")
    text += "![ns by path and size](plots/datapath.svg)\n\n"
    rows = [["program", "instructions", "bytes after the JIT", "instructions verified"]]
    rows += [[size["name"], f"{size['xlated']:,}", f"{size['jited_bytes']:,}", f"{size['verified']:,}"]
             for size in document["programs"]]
    return text + markdown(rows, right=(1, 2, 3))


def wire(document, folder):
    kernel = document["kernel"]
    text = f"## On the wire, Linux {kernel}\n\n" + origin(document)
    text += "Medians, IPv4. *alone*: times the same crypto without Sheath; *plain*: times no encryption.\n\n"
    ipv4 = [each for each in document["measurements"] if each["family"] == "ipv4"]
    metrics = list(dict.fromkeys(each["metric"] for each in ipv4))
    scenes = list(dict.fromkeys(each["scene"] for each in ipv4))
    rows = [["scene"] + [f"{metric}, {next(e['unit'] for e in ipv4 if e['metric'] == metric)}" for metric in metrics]]
    for scene in scenes:
        cells = []
        for metric in metrics:
            each = next(e for e in ipv4 if e["scene"] == scene and e["metric"] == metric)
            ratios = [f"{each[key]:.2f} {word}" for key, word in (("to_alone", "alone"), ("to_plain", "plain"))
                      if each[key] is not None]
            cells.append(number(each["median"]) + (f" ({', '.join(ratios)})" if ratios else ""))
        rows.append([scene] + cells)
    text += markdown(rows, right=range(1, len(rows[0])))
    ours = [scene for scene in scenes if "by Sheath" in scene]
    series = [(metric, [next((e["to_alone"] for e in ipv4 if e["scene"] == scene and e["metric"] == metric), None)
                        for scene in ours]) for metric in metrics if metric != targets.MERGED]
    name = f"wire-{'.'.join(kernel.split('.')[:2])}.svg"
    draw(os.path.join(folder, name), f"Times the same crypto without Sheath, IPv4, Linux {kernel}", ours, series, "times")
    return text + f"![ratios](plots/{name})\n\n"


def control_plane(document, folder):
    text = "## Control plane\n\n" + origin(document)
    sizes = sorted({each["nodes"] for each in document["measurements"]})
    for engine in ("wireguard", "ipsec"):
        groups = {}
        for each in document["measurements"]:
            if each["engine"] == engine:
                groups.setdefault(each["what"], {})[each["nodes"]] = each
        if not groups:
            continue
        rows = [[engine, ""] + [f"{size:,} nodes" for size in sizes]]
        for what, by_size in groups.items():
            unit = next(iter(by_size.values()))["unit"]
            cells = []
            for size in sizes:
                each = by_size.get(size)
                held = each and each["to_reference"] is not None
                cells.append((number(each["median"]) if each else "") +
                             (f" ({each['to_reference']:.2f} × {each['reference']})" if held else ""))
            rows.append([what, unit] + cells)
        text += markdown(rows, right=range(2, len(rows[0])))
        shown = [what for what, by_size in groups.items() if next(iter(by_size.values()))["unit"] == "ms"]
        series = [(f"{size:,} nodes", [groups[what][size]["median"] if size in groups[what] else None for what in shown])
                  for size in sizes]
        name = f"control-plane-{engine}.svg"
        draw(os.path.join(folder, name), f"{engine}: milliseconds in an emulated guest", shown, series, "ms")
        text += f"![milliseconds](plots/{name})\n\n"
    return text


def aims(documents):
    rows = [["target", "", "measured", "met", "what holds it"]]
    for each in targets.of(documents):
        rows.append([each.what, each.bound, each.shown, "yes" if each.met else "no", "" if each.met else each.why])
    return ("## Targets\n\nWhat Sheath is meant to cost, and what it does cost, from the results below: medians, IPv4, ratios within "
            "one run.\n\n" + markdown(rows, right=(1, 2)))


def write(folder, page, documents):
    os.makedirs(folder, exist_ok=True)
    sections = {"datapath": datapath, "wire": wire, "control-plane": control_plane}
    order = list(sections)
    text = PAGE
    documents = sorted(documents, key=lambda each: (order.index(each["bench"]), each["kernel"]))
    text += aims(documents)
    for document in documents:
        text += sections[document["bench"]](document, folder)
    with open(page, "w", encoding="utf-8") as file:
        file.write(text.rstrip() + "\n")
